/**
 * Device redirection, static channel `rdpdr` ([MS-RDPEFS] 2.2; printers [MS-RDPEPC], ports
 * [MS-RDPESP], smart cards [MS-RDPESC]).
 *
 * ```text
 * | Component 2 | PacketId 2 | fields |
 * ```
 */
import type { Reader, Writer } from '../pdu/cursor.ts';

/** RDPDR_HEADER Component (2.2.1.1). */
export const Component = { core: 0x4472, printer: 0x5052 } as const;

/** RDPDR_HEADER PacketId (2.2.1.1), and those of [MS-RDPEPC] 2.2.1. */
export const PacketId = {
  serverAnnounce: 0x496e,
  clientIdConfirm: 0x4343,
  clientName: 0x434e,
  deviceListAnnounce: 0x4441,
  deviceReply: 0x6472,
  ioRequest: 0x4952,
  ioCompletion: 0x4943,
  serverCapability: 0x5350,
  clientCapability: 0x4350,
  deviceListRemove: 0x444d,
  userLoggedOn: 0x554c,
  printerCacheData: 0x5043,
  printerUsingXps: 0x5543,
} as const;

/** DEVICE_ANNOUNCE DeviceType (2.2.1.3). */
export const DeviceType = { serial: 1, parallel: 2, printer: 4, filesystem: 8, smartCard: 0x20 } as const;

/** CapabilityType (2.2.1.2). */
export const DeviceCapability = { general: 1, printer: 2, port: 3, drive: 4, smartCard: 5 } as const;

/** MajorFunction of an I/O request (2.2.1.4): IRP_MJ_… */
export const MajorFunction = {
  create: 0,
  close: 2,
  read: 3,
  write: 4,
  queryInformation: 5,
  setInformation: 6,
  queryVolumeInformation: 10,
  setVolumeInformation: 11,
  directoryControl: 12,
  deviceControl: 14,
  lockControl: 17,
} as const;

/** FsInformationClass of setInformation (2.2.3.3.9). */
export const InformationClass = { rename: 10, disposition: 13 } as const;

/** The NTSTATUS that the gateway refuses with. */
export const STATUS_ACCESS_DENIED = 0xc000_0022;

export const RDPDR_HEADER_BYTES = 4;
/** Of the longest request or completion header and the fixed fields that are read behind it. */
export const IO_REQUEST_BYTES = 24;
export const IO_COMPLETION_BYTES = 16;

/** RDPDR_HEADER (2.2.1.1). */
export interface DeviceHeader {
  readonly component: number;
  readonly packet: number;
}

export function decodeDeviceHeader(reader: Reader): DeviceHeader {
  return { component: reader.u16le('RDPDR_HEADER.Component'), packet: reader.u16le('RDPDR_HEADER.PacketId') };
}

export function encodeDeviceHeader(writer: Writer, packet: number, component: number = Component.core): void {
  writer.u16le(component).u16le(packet);
}

/** CAPABILITY_SET (2.2.1.2): the type, and all its bytes with its header. */
export interface CapabilitySet {
  /** DeviceCapability, or a number that the specification does not know. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** DR_CORE_CAPABILITY_REQ and _RSP (2.2.2.7, 2.2.2.8), the header read. */
export function decodeCapabilitySets(reader: Reader): CapabilitySet[] {
  const count = reader.u16le('CORE_CAPABILITY.numCapabilities');
  reader.skip('CORE_CAPABILITY.Padding', 2);
  const sets: CapabilitySet[] = [];
  for (let n = 0; n < count; n++) {
    const type = reader.u16le('CAPABILITY_HEADER.CapabilityType');
    const length = reader.u16le('CAPABILITY_HEADER.CapabilityLength');
    if (length < 8)
      reader.fail('CAPABILITY_HEADER.CapabilityLength', `is ${length}, less than its header`, 2);
    reader.offset -= 4;
    sets.push({ type, bytes: reader.bytes('CAPABILITY_SET', length) });
  }
  return sets;
}

export function encodeCapabilitySets(writer: Writer, packet: number, sets: readonly CapabilitySet[]): void {
  encodeDeviceHeader(writer, packet);
  writer.u16le(sets.length).u16le(0);
  for (const { bytes } of sets) writer.bytes(bytes);
}

/** DEVICE_ANNOUNCE (2.2.1.3). */
export interface Device {
  /** DeviceType. */
  readonly type: number;
  readonly id: number;
  /** PreferredDosName: up to 7 characters, `C:` or `PRN1`. */
  readonly dosName: string;
  /** What the type adds: a drive's long name, a printer's driver. A view. */
  readonly data: Uint8Array;
}

/** DR_CORE_DEVICELIST_ANNOUNCE_REQ (2.2.2.9), the header read. */
export function decodeDeviceList(reader: Reader): Device[] {
  const count = reader.u32le('DEVICELIST_ANNOUNCE.DeviceCount');
  const devices: Device[] = [];
  for (let n = 0; n < count; n++) {
    const type = reader.u32le('DEVICE_ANNOUNCE.DeviceType');
    const id = reader.u32le('DEVICE_ANNOUNCE.DeviceId');
    const dosName = reader.latin1('DEVICE_ANNOUNCE.PreferredDosName', 8);
    const length = reader.u32le('DEVICE_ANNOUNCE.DeviceDataLength');
    devices.push({ type, id, dosName, data: reader.bytes('DEVICE_ANNOUNCE.DeviceData', length) });
  }
  return devices;
}

export function encodeDeviceList(writer: Writer, devices: readonly Device[]): void {
  encodeDeviceHeader(writer, PacketId.deviceListAnnounce);
  writer.u32le(devices.length);
  for (const { type, id, dosName, data } of devices) {
    const name = dosName.slice(0, 7);
    writer
      .u32le(type)
      .u32le(id)
      .latin1(name)
      .zeros(8 - name.length);
    writer.u32le(data.length).bytes(data);
  }
}

/** DR_DEVICELIST_REMOVE (2.2.3.2), the header read: ids of devices. */
export function decodeDeviceRemoval(reader: Reader): number[] {
  const count = reader.u32le('DEVICELIST_REMOVE.DeviceCount');
  const ids: number[] = [];
  for (let n = 0; n < count; n++) ids.push(reader.u32le('DEVICELIST_REMOVE.DeviceIds'));
  return ids;
}

export function encodeDeviceRemoval(writer: Writer, ids: readonly number[]): void {
  encodeDeviceHeader(writer, PacketId.deviceListRemove);
  writer.u32le(ids.length);
  for (const id of ids) writer.u32le(id);
}

/** DR_CORE_DEVICE_ANNOUNCE_RSP (2.2.2.1): the target's word on one announced device. */
export function encodeDeviceReply(writer: Writer, device: number, status: number): void {
  encodeDeviceHeader(writer, PacketId.deviceReply);
  writer.u32le(device).u32le(status);
}

/** DR_DEVICE_IOREQUEST (2.2.1.4). */
export interface IoRequest {
  readonly device: number;
  readonly file: number;
  readonly completion: number;
  /** MajorFunction. */
  readonly major: number;
  readonly minor: number;
}

export function decodeIoRequest(reader: Reader): IoRequest {
  return {
    device: reader.u32le('DEVICE_IOREQUEST.DeviceId'),
    file: reader.u32le('DEVICE_IOREQUEST.FileId'),
    completion: reader.u32le('DEVICE_IOREQUEST.CompletionId'),
    major: reader.u32le('DEVICE_IOREQUEST.MajorFunction'),
    minor: reader.u32le('DEVICE_IOREQUEST.MinorFunction'),
  };
}

export function encodeIoRequest(writer: Writer, request: IoRequest): void {
  encodeDeviceHeader(writer, PacketId.ioRequest);
  writer.u32le(request.device).u32le(request.file).u32le(request.completion);
  writer.u32le(request.major).u32le(request.minor);
}

/** DR_DEVICE_IOCOMPLETION (2.2.1.5). */
export interface IoCompletion {
  readonly device: number;
  readonly completion: number;
  /** An NTSTATUS. */
  readonly status: number;
}

export function decodeIoCompletion(reader: Reader): IoCompletion {
  return {
    device: reader.u32le('DEVICE_IOCOMPLETION.DeviceId'),
    completion: reader.u32le('DEVICE_IOCOMPLETION.CompletionId'),
    status: reader.u32le('DEVICE_IOCOMPLETION.IoStatus'),
  };
}

export function encodeIoCompletion(writer: Writer, completion: IoCompletion): void {
  encodeDeviceHeader(writer, PacketId.ioCompletion);
  writer.u32le(completion.device).u32le(completion.completion).u32le(completion.status);
}

/** DR_CREATE_REQ (2.2.1.4.1), behind the request's header. */
export interface Create {
  /** Bits of a Windows access mask. */
  readonly desiredAccess: number;
  /** FILE_DIRECTORY_FILE 1, FILE_DELETE_ON_CLOSE 0x1000 … */
  readonly options: number;
  /** Below the device's root, `\` between; empty for printers, ports and smart cards. */
  readonly path: string;
}

export function decodeCreate(reader: Reader): Create {
  const desiredAccess = reader.u32le('CREATE_REQ.DesiredAccess');
  reader.skip('CREATE_REQ.AllocationSize to CreateDisposition', 20);
  const options = reader.u32le('CREATE_REQ.CreateOptions');
  const length = reader.u32le('CREATE_REQ.PathLength');
  return { desiredAccess, options, path: reader.utf16('CREATE_REQ.Path', length) };
}

export function encodeCreate(writer: Writer, create: Create): void {
  // FILE_SHARE_READ | WRITE | DELETE; FILE_OPEN.
  writer.u32le(create.desiredAccess).zeros(12).u32le(7).u32le(1).u32le(create.options);
  writer
    .u32le(create.path.length * 2 + 2)
    .utf16(create.path)
    .u16le(0);
}

/** DR_DRIVE_SET_INFORMATION_REQ (2.2.3.3.9), behind the request's header. */
export interface SetInformation {
  /** InformationClass. */
  readonly informationClass: number;
  /** New path, of `rename`. */
  readonly to?: string;
  /** Whether the file goes when it is closed, of `disposition`. */
  readonly remove?: boolean;
}

export function decodeSetInformation(reader: Reader): SetInformation {
  const informationClass = reader.u32le('SET_INFORMATION.FsInformationClass');
  const length = reader.u32le('SET_INFORMATION.Length');
  reader.skip('SET_INFORMATION.Padding', 24);
  if (informationClass === InformationClass.rename) {
    reader.skip('RDP_FILE_RENAME_INFORMATION.ReplaceIfExists and RootDirectory', 2);
    const nameLength = reader.u32le('RDP_FILE_RENAME_INFORMATION.FileNameLength');
    return { informationClass, to: reader.utf16('RDP_FILE_RENAME_INFORMATION.FileName', nameLength) };
  }
  if (informationClass === InformationClass.disposition)
    // The flag may be left out, then it is set.
    return {
      informationClass,
      remove: length === 0 || reader.left === 0 || reader.u8('DeletePending') !== 0,
    };
  return { informationClass };
}
