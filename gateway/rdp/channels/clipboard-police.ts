/**
 * Holds the clipboard to policy: plain text, everything or nothing, each way on its own.
 * The side that copied announces formats, the other asks for one, the first answers with data.
 */
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import type { ClipFile, ClipFormatName, ClipHeader, ClipMessage, NameForm } from './cliprdr.ts';
import {
  CLIP_HEADER_BYTES,
  ClipCapability,
  ClipFlag,
  ClipFormat,
  ClipType,
  clipboardText,
  decodeClipBody,
  decodeClipHeader,
  decodeFileList,
  decodeFormatList,
  encodeClipMessage,
  encodeFormatList,
  FILE_LIST_FORMAT,
  FileContents,
} from './cliprdr.ts';
import type { ClipboardScope, Direction, MessagePolice, Outcome, RdpChannelPolicy, Side } from './policy.ts';
import { otherSide } from './policy.ts';
import type { Verdict } from './virtual-channel.ts';

/** Of a text, in bytes on the wire: the recording keeps so much, the rest is counted. */
const TEXT_BYTES_MAX = 64 * 1024;
/** Of a list of files: 1,771 of them. */
const FILE_LIST_BYTES_MAX = 1024 * 1024;
/** No real list is near it. */
const FORMAT_LIST_BYTES_MAX = 1024 * 1024;
/** The longest of the others, the temporary directory, has 528. */
const CONTROL_BYTES_MAX = 1024;
/** Clients ask for one format at a time. */
const PENDING_MAX = 64;

const TEXT_FORMATS: ReadonlySet<number> = new Set([
  ClipFormat.text,
  ClipFormat.oemText,
  ClipFormat.unicodeText,
]);

/** What one side has copied, and what of it the other has asked for. */
interface Owner {
  readonly direction: Direction;
  readonly scope: ClipboardScope;
  /** Bits of ClipCapability. */
  capabilities: number;
  listed: boolean;
  formats: ReadonlyMap<number, string>;
  /** Formats asked for and not yet answered; undefined: refused, to be answered here in its turn. */
  readonly pending: (number | undefined)[];
  files: readonly ClipFile[];
  /** Files whose content the other side has begun to fetch. */
  readonly fetched: Set<number>;
}

export class ClipboardPolice implements MessagePolice {
  readonly #owners: Readonly<Record<Side, Owner>>;

  constructor(policy: RdpChannelPolicy['clipboard']) {
    this.#owners = {
      client: newOwner('toTarget', policy.toTarget),
      target: newOwner('fromTarget', policy.fromTarget),
    };
  }

  judge(from: Side, head: Uint8Array, length: number, outcome: Outcome): Verdict {
    if (head.length < CLIP_HEADER_BYTES) return CLIP_HEADER_BYTES;
    const header = decodeClipHeader(new Reader(head), length);
    const owner = this.#owners[from];
    switch (header.type) {
      case ClipType.formatDataResponse:
        return judgeData(owner, from, header, head, outcome);
      case ClipType.fileContentsResponse:
        // Without policy's leave no request of it ever went out.
        return owner.scope === 'all' ? 'forward' : 'swallow';
      case ClipType.monitorReady:
      case ClipType.formatListResponse:
      case ClipType.tempDirectory:
      case ClipType.lock:
      case ClipType.unlock:
      case ClipType.formatList:
      case ClipType.capabilities:
      case ClipType.formatDataRequest:
      case ClipType.fileContentsRequest:
        if (length > (header.type === ClipType.formatList ? FORMAT_LIST_BYTES_MAX : CONTROL_BYTES_MAX))
          throw new PduError(
            'CLIPRDR_HEADER.dataLen',
            4,
            `is ${header.dataLength}, too long for type ${header.type}`,
          );
        return head.length < length ? length : this.#judgeControl(from, header, head, outcome);
      default:
        outcome.tell({ kind: 'refused', what: `clipboard message ${header.type}`, reason: 'it is unknown' });
        return 'swallow';
    }
  }

  #judgeControl(from: Side, header: ClipHeader, head: Uint8Array, outcome: Outcome): Verdict {
    if (header.type === ClipType.formatList) return this.#judgeFormats(from, header, head, outcome);
    const message = decodeClipBody(new Reader(head, CLIP_HEADER_BYTES), header);
    if (message?.type === ClipType.capabilities) this.#owners[from].capabilities = message.generalFlags;
    if (message?.type === ClipType.formatDataRequest)
      return this.#judgeRequest(from, message.format, outcome);
    if (message?.type === ClipType.fileContentsRequest) {
      const owner = this.#owners[otherSide(from)];
      if (owner.scope === 'all') {
        if (message.what === FileContents.range) tellFetch(owner, message.index, outcome);
        return 'forward';
      }
      tellRefused(owner, 'a file', outcome);
      send(outcome, from, {
        type: ClipType.fileContentsResponse,
        ok: false,
        stream: message.stream,
        data: new Uint8Array(),
      });
      return 'swallow';
    }
    return 'forward';
  }

  #judgeFormats(from: Side, header: ClipHeader, head: Uint8Array, outcome: Outcome): Verdict {
    const owner = this.#owners[from];
    const form = this.#nameForm(header);
    const formats = decodeFormatList(new Reader(head, CLIP_HEADER_BYTES), header, form);
    const first = !owner.listed;
    owner.listed = true;
    owner.formats = new Map(formats.map(({ id, name }) => [id, name]));
    owner.files = [];
    owner.fetched.clear();
    const fits = formats.every(({ id, name }) => allows(owner.scope, id) && name === '');
    if (owner.scope === 'all' || (owner.scope === 'text' && fits)) return 'forward';
    const refused = formats.filter(({ id }) => !allows(owner.scope, id));
    if (refused.length > 0) tellRefused(owner, refused.slice(0, 16).map(nameOfFormat).join(', '), outcome);
    // Where nothing may pass, the other side keeps what it copied itself. Only the client's
    // first list goes on, empty: targets wait for it before they use the clipboard at all.
    if (owner.scope === 'none' && !(first && from === 'client')) {
      send(outcome, from, { type: ClipType.formatListResponse, ok: true });
    } else {
      // Text needs no names, and in names anything could travel.
      const allowed = formats.filter(({ id }) => allows(owner.scope, id)).map(({ id }) => ({ id, name: '' }));
      const writer = new Writer();
      encodeFormatList(writer, allowed, form);
      outcome.send(otherSide(from), writer.done());
    }
    return 'swallow';
  }

  #judgeRequest(from: Side, format: number, outcome: Outcome): Verdict {
    const owner = this.#owners[otherSide(from)];
    if (owner.pending.length >= PENDING_MAX)
      throw new PduError('FORMAT_DATA_REQUEST', 0, `comes before ${PENDING_MAX} others were answered`);
    const allowed = allows(owner.scope, format);
    owner.pending.push(allowed ? format : undefined);
    if (allowed) return 'forward';
    tellRefused(owner, nameOfFormat({ id: format, name: owner.formats.get(format) ?? '' }), outcome);
    answerRefused(owner, from, outcome);
    return 'swallow';
  }

  /** 2.2.3.1: long names need both sides' word. */
  #nameForm(header: ClipHeader): NameForm {
    const { client, target } = this.#owners;
    if ((client.capabilities & target.capabilities & ClipCapability.useLongFormatNames) !== 0) return 'long';
    return (header.flags & ClipFlag.asciiNames) !== 0 ? 'short-ascii' : 'short-utf16';
  }
}

function newOwner(direction: Direction, scope: ClipboardScope): Owner {
  return {
    direction,
    scope,
    capabilities: 0,
    listed: false,
    formats: new Map(),
    pending: [],
    files: [],
    fetched: new Set(),
  };
}

/** Data goes on when it was asked for, and once its beginning is told. */
function judgeData(
  owner: Owner,
  from: Side,
  header: ClipHeader,
  head: Uint8Array,
  outcome: Outcome,
): Verdict {
  const format = owner.pending[0];
  if (format === undefined) {
    outcome.tell({
      kind: 'refused',
      what: `clipboard data ${owner.direction}`,
      reason: 'nobody asked for it',
    });
    return 'swallow';
  }
  const ok = (header.flags & ClipFlag.ok) !== 0;
  if (ok) {
    const end = CLIP_HEADER_BYTES + Math.min(header.dataLength, bytesToKeep(owner, format));
    if (head.length < end) return end;
    tellData(owner, format, head.subarray(CLIP_HEADER_BYTES, end), header.dataLength, outcome);
    owner.pending.shift();
  } else {
    // Answered here: what a failure carries, nobody has seen.
    owner.pending[0] = undefined;
  }
  answerRefused(owner, otherSide(from), outcome);
  return ok ? 'forward' : 'swallow';
}

function bytesToKeep(owner: Owner, format: number): number {
  if (TEXT_FORMATS.has(format)) return TEXT_BYTES_MAX;
  return owner.formats.get(format) === FILE_LIST_FORMAT ? FILE_LIST_BYTES_MAX : 0;
}

function tellData(owner: Owner, format: number, data: Uint8Array, bytes: number, outcome: Outcome): void {
  const { direction } = owner;
  const name = owner.formats.get(format) ?? '';
  const text = clipboardText(format, data);
  if (text === undefined && name === FILE_LIST_FORMAT) {
    const { files, count } = decodeFileList(data);
    owner.files = files;
    owner.fetched.clear();
    outcome.tell({ kind: 'clipboard-files', direction, names: files.map((file) => file.name), count });
    return;
  }
  const told = { kind: 'clipboard', direction, format: nameOfFormat({ id: format, name }), bytes } as const;
  outcome.tell(text === undefined ? told : { ...told, text });
}

/** Answers refused requests that have no allowed one before them: answers have no number, only their order. */
function answerRefused(owner: Owner, asker: Side, outcome: Outcome): void {
  while (owner.pending.length > 0 && owner.pending[0] === undefined) {
    owner.pending.shift();
    send(outcome, asker, { type: ClipType.formatDataResponse, ok: false, data: new Uint8Array() });
  }
}

function tellFetch(owner: Owner, index: number, outcome: Outcome): void {
  const file = owner.files[index];
  // What the list did not name is told once, as one.
  const known = file === undefined ? -1 : index;
  if (owner.fetched.has(known)) return;
  owner.fetched.add(known);
  outcome.tell({
    kind: 'file',
    via: 'clipboard',
    operation: 'open',
    path: file?.name ?? `file ${index} of the clipboard`,
    access: 'read',
    direction: owner.direction,
  });
}

function allows(scope: ClipboardScope, format: number): boolean {
  return scope === 'all' || (scope === 'text' && TEXT_FORMATS.has(format));
}

function tellRefused(owner: Owner, what: string, outcome: Outcome): void {
  const reason = owner.scope === 'none' ? 'policy does not allow it' : 'policy allows text only';
  outcome.tell({ kind: 'refused', what: `clipboard ${owner.direction}: ${what}`, reason });
}

/** A registered name counts only where Windows has no format of its own under that number. */
function nameOfFormat({ id, name }: ClipFormatName): string {
  const known = Object.entries(ClipFormat).find(([, number]) => number === id);
  return known?.[0] ?? (name === '' ? `#${id}` : name.slice(0, 256));
}

function send(outcome: Outcome, to: Side, message: ClipMessage): void {
  const writer = new Writer();
  encodeClipMessage(writer, message);
  outcome.send(to, writer.done());
}
