/**
 * Lets only those kinds of redirected devices through that policy allows, and tells what the
 * target does with files on the client's drives and with its printers and ports.
 */
import { Reader, Writer } from '../pdu/cursor.ts';
import type { FileAccess, FileEvent, MessagePolice, Outcome, RdpChannelPolicy, Side } from './policy.ts';
import { otherSide } from './policy.ts';
import type { CapabilitySet, Create, DeviceHeader, IoRequest, SetInformation } from './rdpdr.ts';
import {
  Component,
  DeviceCapability,
  DeviceType,
  decodeCapabilitySets,
  decodeCreate,
  decodeDeviceHeader,
  decodeDeviceList,
  decodeDeviceRemoval,
  decodeIoCompletion,
  decodeIoRequest,
  decodeSetInformation,
  encodeCapabilitySets,
  encodeDeviceList,
  encodeDeviceRemoval,
  encodeDeviceReply,
  encodeIoCompletion,
  InformationClass,
  IO_COMPLETION_BYTES,
  IO_REQUEST_BYTES,
  MajorFunction,
  PacketId,
  RDPDR_HEADER_BYTES,
  STATUS_ACCESS_DENIED,
} from './rdpdr.ts';
import type { Verdict } from './virtual-channel.ts';

/** A person has a handful of drives and printers. */
const DEVICES_MAX = 256;
/** Of all devices together: requests without an answer, and open files. */
const WAITING_MAX = 4096;
const FILES_MAX = 4096;
/** A create or rename with a path of 4,096 characters has 8,264. */
const PATH_REQUEST_BYTES_MAX = 8264;
/** Header and fixed fields of a write request (2.2.1.4.4): what follows is the data. */
const WRITE_REQUEST_BYTES = 56;

/** Create options and access masks of Windows ([MS-FSCC], [MS-SMB2] 2.2.13). */
const OPTION_DIRECTORY = 0x1;
const OPTION_DELETE_ON_CLOSE = 0x1000;
const GENERIC_ALL_OR_MAXIMUM = 0x1200_0000;
const ACCESS_READ = 0x8000_0001 | GENERIC_ALL_OR_MAXIMUM;
const ACCESS_WRITE = 0x4000_0006 | GENERIC_ALL_OR_MAXIMUM;

/** Which side sends a packet; `both`: each has one of that number. */
const SENDER: ReadonlyMap<number, Side | 'both'> = new Map([
  [PacketId.serverAnnounce, 'target'],
  [PacketId.clientIdConfirm, 'both'],
  [PacketId.clientName, 'client'],
  [PacketId.deviceListAnnounce, 'client'],
  [PacketId.deviceReply, 'target'],
  [PacketId.ioRequest, 'target'],
  [PacketId.ioCompletion, 'client'],
  [PacketId.serverCapability, 'target'],
  [PacketId.clientCapability, 'client'],
  [PacketId.deviceListRemove, 'client'],
  [PacketId.userLoggedOn, 'target'],
  [PacketId.printerCacheData, 'target'],
  [PacketId.printerUsingXps, 'target'],
]);
const PRINTER_PACKETS: ReadonlySet<number> = new Set([PacketId.printerCacheData, PacketId.printerUsingXps]);

interface KnownDevice {
  readonly via: FileEvent['via'];
  readonly dosName: string;
}

interface OpenFile {
  readonly via: FileEvent['via'];
  path: string;
  /** Its `open` was told. */
  told: boolean;
  bytesToTarget: number;
  bytesFromTarget: number;
}

/** A request that went to the client and has no answer yet. */
interface Waiting {
  readonly request: IoRequest;
  readonly device: KnownDevice;
  readonly file: OpenFile | undefined;
  readonly create: Create | undefined;
  readonly set: SetInformation | undefined;
}

export class DevicePolice implements MessagePolice {
  readonly #policy: RdpChannelPolicy;
  readonly #devices = new Map<number, KnownDevice>();
  /** By device and file id. */
  readonly #files = new Map<string, OpenFile>();
  /** By device and completion id. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(policy: RdpChannelPolicy) {
    this.#policy = policy;
  }

  judge(from: Side, head: Uint8Array, length: number, outcome: Outcome): Verdict {
    if (head.length < RDPDR_HEADER_BYTES) return RDPDR_HEADER_BYTES;
    const reader = new Reader(head);
    const header = decodeDeviceHeader(reader);
    const refusal = this.#refusal(from, header);
    if (refusal !== undefined) return refuse(outcome, `device message ${hex(header.packet)}`, refusal);
    switch (header.packet) {
      case PacketId.ioRequest:
        return this.#judgeRequest(reader, head, length, outcome);
      case PacketId.ioCompletion:
        return this.#judgeCompletion(reader, head, length, outcome);
      case PacketId.deviceListAnnounce:
        return head.length < length ? length : this.#judgeAnnounce(reader, outcome);
      case PacketId.deviceListRemove:
        return head.length < length ? length : this.#judgeRemoval(reader, outcome);
      case PacketId.serverCapability:
      case PacketId.clientCapability:
        return head.length < length ? length : this.#judgeCapabilities(from, header, reader, outcome);
      default:
        return 'forward';
    }
  }

  #refusal(from: Side, { component, packet }: DeviceHeader): string | undefined {
    const sender = SENDER.get(packet);
    if (sender === undefined) return 'it is unknown';
    if (sender !== 'both' && sender !== from) return `it is not for the ${from} to send`;
    const printer = PRINTER_PACKETS.has(packet);
    if (component !== (printer ? Component.printer : Component.core)) return 'its component is wrong';
    return printer && !this.#policy.printers ? 'policy does not allow printers' : undefined;
  }

  /** Both sides are told only of what policy allows, so that neither tries the rest. */
  #judgeCapabilities(from: Side, header: DeviceHeader, reader: Reader, outcome: Outcome): Verdict {
    const sets = decodeCapabilitySets(reader);
    const allowed = sets.filter((set) => this.#allowsCapability(set));
    if (allowed.length === sets.length) return 'forward';
    const writer = new Writer();
    encodeCapabilitySets(writer, header.packet, allowed);
    outcome.send(otherSide(from), writer.done());
    return 'swallow';
  }

  #allowsCapability({ type }: CapabilitySet): boolean {
    const { printers, ports, drives, smartCards } = this.#policy;
    switch (type) {
      case DeviceCapability.general:
        return true;
      case DeviceCapability.printer:
        return printers;
      case DeviceCapability.port:
        return ports;
      case DeviceCapability.drive:
        return drives;
      case DeviceCapability.smartCard:
        return smartCards;
      default:
        return false;
    }
  }

  #judgeAnnounce(reader: Reader, outcome: Outcome): Verdict {
    const devices = decodeDeviceList(reader);
    const allowed = devices.filter(({ type, id, dosName }) => {
      const via = this.#kindOf(type);
      const room = this.#devices.size < DEVICES_MAX || this.#devices.has(id);
      if (via !== undefined && room) {
        this.#devices.set(id, { via, dosName });
        return true;
      }
      const reason = via === undefined ? 'policy does not allow it' : 'there are too many';
      outcome.tell({ kind: 'refused', what: `device ${dosName} (${nameOfType(type)})`, reason });
      const writer = new Writer();
      encodeDeviceReply(writer, id, STATUS_ACCESS_DENIED);
      outcome.send('client', writer.done());
      return false;
    });
    if (allowed.length === devices.length) return 'forward';
    const writer = new Writer();
    encodeDeviceList(writer, allowed);
    outcome.send('target', writer.done());
    return 'swallow';
  }

  #kindOf(type: number): FileEvent['via'] | undefined {
    const { drives, printers, ports, smartCards } = this.#policy;
    switch (type) {
      case DeviceType.filesystem:
        return drives ? 'drive' : undefined;
      case DeviceType.printer:
        return printers ? 'printer' : undefined;
      case DeviceType.serial:
      case DeviceType.parallel:
        return ports ? 'port' : undefined;
      case DeviceType.smartCard:
        return smartCards ? 'smart card' : undefined;
      default:
        return undefined;
    }
  }

  #judgeRemoval(reader: Reader, outcome: Outcome): Verdict {
    const ids = decodeDeviceRemoval(reader);
    const known = ids.filter((id) => this.#devices.delete(id));
    for (const id of known) {
      forget(this.#files, id);
      forget(this.#waiting, id);
    }
    if (known.length === ids.length) return 'forward';
    const writer = new Writer();
    encodeDeviceRemoval(writer, known);
    if (known.length > 0) outcome.send('target', writer.done());
    return 'swallow';
  }

  #judgeRequest(reader: Reader, head: Uint8Array, length: number, outcome: Outcome): Verdict {
    if (head.length < IO_REQUEST_BYTES) return IO_REQUEST_BYTES;
    const request = decodeIoRequest(reader);
    const device = this.#devices.get(request.device);
    if (device === undefined)
      return deny(outcome, request, `device ${request.device}`, 'it was not announced');
    const { major } = request;
    const inspected = major === MajorFunction.create || major === MajorFunction.setInformation;
    if (inspected && length > PATH_REQUEST_BYTES_MAX)
      return deny(outcome, request, `request on ${device.dosName}`, 'its path is too long');
    if (inspected && head.length < length) return length;

    const file = this.#files.get(keyOf(request.device, request.file));
    const create = major === MajorFunction.create ? decodeCreate(reader) : undefined;
    const set = major === MajorFunction.setInformation ? decodeSetInformation(reader) : undefined;
    const refusal = this.#requestRefusal(request, file);
    if (refusal !== undefined) return deny(outcome, request, `request on ${device.dosName}`, refusal);
    this.#waiting.set(keyOf(request.device, request.completion), { request, device, file, create, set });
    if (file !== undefined) {
      if (major === MajorFunction.read) tellOpen(file, 'read', outcome);
      if (major === MajorFunction.write) {
        tellOpen(file, 'write', outcome);
        file.bytesFromTarget += Math.max(0, length - WRITE_REQUEST_BYTES);
      }
      if (major === MajorFunction.close) this.#close(request, file, outcome);
    }
    return 'forward';
  }

  #requestRefusal({ device, completion, major }: IoRequest, file: OpenFile | undefined): string | undefined {
    // Two under one number could swap their answers, and with them the path that is told. Others may
    // share one: targets use the number of a cancelled request again, whose answer may never come.
    const before = this.#waiting.get(keyOf(device, completion));
    if (before?.create !== undefined || before?.set !== undefined) return 'its completion id is in use';
    if (this.#waiting.size >= WAITING_MAX) return 'too many requests wait for an answer';
    if (major === MajorFunction.create && this.#files.size >= FILES_MAX) return 'too many files are open';
    const needsFile =
      major === MajorFunction.read || major === MajorFunction.write || major === MajorFunction.setInformation;
    if (needsFile && file === undefined) return 'its file is not open';
    return undefined;
  }

  #close(request: IoRequest, file: OpenFile, outcome: Outcome): void {
    this.#files.delete(keyOf(request.device, request.file));
    if (!file.told) return;
    const { via, path, bytesToTarget, bytesFromTarget } = file;
    outcome.tell({ kind: 'file', via, operation: 'close', path, bytesToTarget, bytesFromTarget });
  }

  #judgeCompletion(reader: Reader, head: Uint8Array, length: number, outcome: Outcome): Verdict {
    const need = Math.min(length, IO_COMPLETION_BYTES + 4);
    if (head.length < need) return need;
    const { device, completion, status } = decodeIoCompletion(reader);
    const key = keyOf(device, completion);
    const waiting = this.#waiting.get(key);
    if (!this.#devices.has(device))
      return refuse(outcome, `answer of device ${device}`, 'it was not announced');
    // Of a request whose number another got since: the target knows what it cancelled.
    if (waiting === undefined) return 'forward';
    this.#waiting.delete(key);
    if (status >= 0x8000_0000) return 'forward';

    const { request, file, create, set } = waiting;
    if (create !== undefined) {
      const opened = openedFile(waiting.device, create, outcome);
      this.#files.set(keyOf(device, reader.u32le('CREATE_RSP.FileId')), opened);
    } else if (file !== undefined && request.major === MajorFunction.read) {
      file.bytesToTarget += Math.max(0, length - IO_COMPLETION_BYTES - 4);
    } else if (file !== undefined && set !== undefined) {
      tellSet(waiting.device, file, set, outcome);
    }
    return 'forward';
  }
}

function openedFile(device: KnownDevice, create: Create, outcome: Outcome): OpenFile {
  const { via } = device;
  const path = device.dosName + create.path;
  const file: OpenFile = { via, path, told: false, bytesToTarget: 0, bytesFromTarget: 0 };
  const read = (create.desiredAccess & ACCESS_READ) !== 0;
  const write = (create.desiredAccess & ACCESS_WRITE) !== 0;
  if ((create.options & OPTION_DIRECTORY) !== 0) {
    if (read) outcome.tell({ kind: 'file', via, operation: 'list', path });
  } else if (read || write) {
    tellOpen(file, read ? (write ? 'read-write' : 'read') : 'write', outcome);
  }
  if ((create.options & OPTION_DELETE_ON_CLOSE) !== 0)
    outcome.tell({ kind: 'file', via, operation: 'delete', path });
  return file;
}

/** Also of a file whose content is touched although it was opened for its attributes only. */
function tellOpen(file: OpenFile, access: FileAccess, outcome: Outcome): void {
  if (file.told) return;
  file.told = true;
  outcome.tell({ kind: 'file', via: file.via, operation: 'open', path: file.path, access });
}

function tellSet(device: KnownDevice, file: OpenFile, set: SetInformation, outcome: Outcome): void {
  const { via, path } = file;
  if (set.informationClass === InformationClass.rename && set.to !== undefined) {
    file.path = device.dosName + set.to;
    outcome.tell({ kind: 'file', via, operation: 'rename', path, to: file.path });
  } else if (set.remove === true) {
    outcome.tell({ kind: 'file', via, operation: 'delete', path });
  }
}

/** Answers the target in the client's place, with the empty fields that an answer to `major` has. */
function deny(outcome: Outcome, request: IoRequest, what: string, reason: string): Verdict {
  const { device, completion, major } = request;
  const writer = new Writer();
  encodeIoCompletion(writer, { device, completion, status: STATUS_ACCESS_DENIED });
  writer.zeros(major === MajorFunction.create || major === MajorFunction.write ? 5 : 4);
  outcome.send('target', writer.done());
  return refuse(outcome, what, reason);
}

function refuse(outcome: Outcome, what: string, reason: string): Verdict {
  outcome.tell({ kind: 'refused', what, reason });
  return 'swallow';
}

function keyOf(device: number, id: number): string {
  return `${device}/${id}`;
}

function forget(map: Map<string, unknown>, device: number): void {
  for (const key of map.keys()) if (key.startsWith(`${device}/`)) map.delete(key);
}

function nameOfType(type: number): string {
  return Object.entries(DeviceType).find(([, number]) => number === type)?.[0] ?? `type ${type}`;
}

function hex(packet: number): string {
  return `0x${packet.toString(16)}`;
}
