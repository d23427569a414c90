/**
 * The clipboard's static channel `cliprdr` ([MS-RDPECLIP] 2.2).
 *
 * ```text
 * | msgType 2 | msgFlags 2 | dataLen 4 (without this header) | data | padding that some peers add |
 * ```
 */
import { Reader, type Writer } from '../pdu/cursor.ts';

/** CLIPRDR_HEADER msgType (2.2.1). */
export const ClipType = {
  monitorReady: 1,
  formatList: 2,
  formatListResponse: 3,
  formatDataRequest: 4,
  formatDataResponse: 5,
  tempDirectory: 6,
  capabilities: 7,
  fileContentsRequest: 8,
  fileContentsResponse: 9,
  lock: 10,
  unlock: 11,
} as const;

/** CLIPRDR_HEADER msgFlags (2.2.1). */
export const ClipFlag = { ok: 1, fail: 2, asciiNames: 4 } as const;

/** generalFlags of the general capability set (2.2.2.1.1.1). */
export const ClipCapability = {
  useLongFormatNames: 0x02,
  streamFileclipEnabled: 0x04,
  fileclipNoFilePaths: 0x08,
  canLockClipdata: 0x10,
  hugeFileSupport: 0x20,
} as const;

/** Clipboard formats that Windows numbers itself. */
export const ClipFormat = {
  text: 1,
  bitmap: 2,
  dib: 8,
  oemText: 7,
  unicodeText: 13,
  drop: 15,
  locale: 16,
} as const;

/** The registered name of a list of files (1.3.1.1.3). */
export const FILE_LIST_FORMAT = 'FileGroupDescriptorW';

/** dwFlags of a file contents request (2.2.5.3). */
export const FileContents = { size: 1, range: 2 } as const;

export const CLIP_HEADER_BYTES = 8;
/** CLIPRDR_FILEDESCRIPTOR (2.2.5.2.3.1). */
const FILE_DESCRIPTOR_BYTES = 592;
const SHORT_NAME_BYTES = 32;
const TEMP_DIRECTORY_BYTES = 520;
const CAPSTYPE_GENERAL = 1;
/** xrdp and rdesktop put 4 bytes behind a message; what is longer would be a message nobody sees. */
const PADDING_MAX = 8;

/** CLIPRDR_HEADER (2.2.1). */
export interface ClipHeader {
  readonly type: number;
  /** Bits of ClipFlag. */
  readonly flags: number;
  readonly dataLength: number;
}

/** @param length bytes of the whole message, of which the reader may have only the beginning */
export function decodeClipHeader(reader: Reader, length: number): ClipHeader {
  const type = reader.u16le('CLIPRDR_HEADER.msgType');
  const flags = reader.u16le('CLIPRDR_HEADER.msgFlags');
  const dataLength = reader.u32le('CLIPRDR_HEADER.dataLen');
  const padding = length - CLIP_HEADER_BYTES - dataLength;
  if (padding < 0 || padding > PADDING_MAX)
    reader.fail('CLIPRDR_HEADER.dataLen', `is ${dataLength} in a message of ${length} bytes`, 4);
  return { type, flags, dataLength };
}

export interface ClipFormatName {
  readonly id: number;
  /** Empty for the formats that Windows numbers itself. */
  readonly name: string;
}

/** How a format list spells names: long ones when both sides said useLongFormatNames. */
export type NameForm = 'long' | 'short-utf16' | 'short-ascii';

/** The messages by their fields; Format List apart, whose reading depends on capabilities. */
export type ClipMessage =
  | { readonly type: typeof ClipType.monitorReady }
  | { readonly type: typeof ClipType.formatListResponse; readonly ok: boolean }
  | { readonly type: typeof ClipType.formatDataRequest; readonly format: number }
  | { readonly type: typeof ClipType.formatDataResponse; readonly ok: boolean; readonly data: Uint8Array }
  | { readonly type: typeof ClipType.tempDirectory; readonly path: string }
  /** generalFlags: bits of ClipCapability. */
  | { readonly type: typeof ClipType.capabilities; readonly version: number; readonly generalFlags: number }
  | FileContentsRequest
  | {
      readonly type: typeof ClipType.fileContentsResponse;
      readonly ok: boolean;
      readonly stream: number;
      readonly data: Uint8Array;
    }
  | { readonly type: typeof ClipType.lock | typeof ClipType.unlock; readonly clipData: number };

/** CLIPRDR_FILECONTENTS_REQUEST (2.2.5.3). */
export interface FileContentsRequest {
  readonly type: typeof ClipType.fileContentsRequest;
  readonly stream: number;
  /** Which file of the list, from 0. */
  readonly index: number;
  /** FileContents. */
  readonly what: number;
  readonly position: bigint;
  readonly requested: number;
  /** Of the lock that the list is kept under. */
  readonly clipData?: number;
}

/**
 * Reads the fields behind a header.
 *
 * @returns undefined for a type that the specification does not know, and for Format List
 */
export function decodeClipBody(reader: Reader, header: ClipHeader): ClipMessage | undefined {
  const body = reader.part('CLIPRDR data', header.dataLength);
  const ok = (header.flags & ClipFlag.ok) !== 0;
  switch (header.type) {
    case ClipType.monitorReady:
      return { type: header.type };
    case ClipType.formatListResponse:
      return { type: header.type, ok };
    case ClipType.formatDataRequest:
      return { type: header.type, format: body.u32le('FORMAT_DATA_REQUEST.requestedFormatId') };
    case ClipType.formatDataResponse:
      return { type: header.type, ok, data: body.rest() };
    case ClipType.tempDirectory:
      return { type: header.type, path: body.utf16('TEMP_DIRECTORY.wszTempDir', body.left & ~1) };
    case ClipType.capabilities:
      return { type: header.type, ...decodeGeneralCapability(body) };
    case ClipType.fileContentsRequest:
      return decodeFileContentsRequest(body);
    case ClipType.fileContentsResponse:
      return {
        type: header.type,
        ok,
        stream: body.u32le('FILECONTENTS_RESPONSE.streamId'),
        data: body.rest(),
      };
    case ClipType.lock:
    case ClipType.unlock:
      return { type: header.type, clipData: body.u32le('LOCK_CLIPDATA.clipDataId') };
    default:
      return undefined;
  }
}

/** Header and fields. */
export function encodeClipMessage(writer: Writer, message: ClipMessage): void {
  const flags = 'ok' in message ? (message.ok ? ClipFlag.ok : ClipFlag.fail) : 0;
  withHeader(writer, message.type, flags, () => {
    switch (message.type) {
      case ClipType.formatDataRequest:
        writer.u32le(message.format);
        break;
      case ClipType.formatDataResponse:
        writer.bytes(message.data);
        break;
      case ClipType.tempDirectory:
        writer.utf16Field(message.path, TEMP_DIRECTORY_BYTES);
        break;
      case ClipType.capabilities:
        writer.u16le(1).u16le(0).u16le(CAPSTYPE_GENERAL).u16le(12);
        writer.u32le(message.version).u32le(message.generalFlags);
        break;
      case ClipType.fileContentsRequest:
        writer.u32le(message.stream).u32le(message.index).u32le(message.what).u64le(message.position);
        writer.u32le(message.requested);
        if (message.clipData !== undefined) writer.u32le(message.clipData);
        break;
      case ClipType.fileContentsResponse:
        writer.u32le(message.stream).bytes(message.data);
        break;
      case ClipType.lock:
      case ClipType.unlock:
        writer.u32le(message.clipData);
    }
  });
}

/** CLIPRDR_FORMAT_LIST (2.2.3.1), the header read. A last name without its NUL and a rest too short for an entry are tolerated. */
export function decodeFormatList(reader: Reader, header: ClipHeader, form: NameForm): ClipFormatName[] {
  const body = reader.part('FORMAT_LIST data', header.dataLength);
  const formats: ClipFormatName[] = [];
  while (body.left >= (form === 'long' ? 4 : 4 + SHORT_NAME_BYTES)) {
    const id = body.u32le('FORMAT_LIST.formatId');
    formats.push({ id, name: decodeFormatName(body, form) });
  }
  return formats;
}

/** Header and list. */
export function encodeFormatList(writer: Writer, formats: readonly ClipFormatName[], form: NameForm): void {
  withHeader(writer, ClipType.formatList, form === 'short-ascii' ? ClipFlag.asciiNames : 0, () => {
    for (const { id, name } of formats) {
      writer.u32le(id);
      if (form === 'long') writer.utf16(name).u16le(0);
      else if (form === 'short-utf16') writer.utf16Field(name, SHORT_NAME_BYTES);
      else {
        const cut = name.slice(0, SHORT_NAME_BYTES - 1);
        writer.latin1(cut).zeros(SHORT_NAME_BYTES - cut.length);
      }
    }
  });
}

/** A file of CLIPRDR_FILELIST. */
export interface ClipFile {
  /** With the folders below the one that was copied, `\` between. */
  readonly name: string;
  readonly bytes: number;
}

/**
 * The data of a `FileGroupDescriptorW` response (2.2.5.2.3): as many files as `data` has in
 * full, and how many the list says that it has.
 */
export function decodeFileList(data: Uint8Array): { readonly files: ClipFile[]; readonly count: number } {
  if (data.length === 0) return { files: [], count: 0 };
  const reader = new Reader(data);
  const count = reader.u32le('FILELIST.cItems');
  const files: ClipFile[] = [];
  while (files.length < count && reader.left >= FILE_DESCRIPTOR_BYTES) {
    const descriptor = reader.part('FILEDESCRIPTOR', FILE_DESCRIPTOR_BYTES);
    descriptor.skip('FILEDESCRIPTOR.flags to lastWriteTime', 64);
    const high = descriptor.u32le('FILEDESCRIPTOR.fileSizeHigh');
    const low = descriptor.u32le('FILEDESCRIPTOR.fileSizeLow');
    files.push({ name: descriptor.utf16('FILEDESCRIPTOR.fileName', 520), bytes: high * 2 ** 32 + low });
  }
  return { files, count };
}

export function encodeFileList(writer: Writer, files: readonly ClipFile[]): void {
  writer.u32le(files.length);
  for (const { name, bytes } of files) {
    // FD_FILESIZE | FD_ATTRIBUTES; FILE_ATTRIBUTE_NORMAL.
    writer.u32le(0x44).zeros(32).u32le(0x80).zeros(24);
    writer
      .u32le(Math.floor(bytes / 2 ** 32))
      .u32le(bytes % 2 ** 32)
      .utf16Field(name, 520);
  }
}

/**
 * The text of a response in a text format: all of it, what stands behind a NUL too, because
 * that also goes over. CF_TEXT and CF_OEMTEXT are read as Latin-1: their code page is not on
 * the wire.
 *
 * @returns undefined for a format that is no text
 */
export function clipboardText(format: number, data: Uint8Array): string | undefined {
  let text = '';
  switch (format) {
    case ClipFormat.unicodeText:
      for (let at = 0; at + 1 < data.length; at += 2)
        text += String.fromCharCode((data[at] ?? 0) | ((data[at + 1] ?? 0) << 8));
      break;
    case ClipFormat.text:
    case ClipFormat.oemText:
      for (const byte of data) text += String.fromCharCode(byte);
      break;
    default:
      return undefined;
  }
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0) end--;
  return text.slice(0, end);
}

function withHeader(writer: Writer, type: number, flags: number, body: () => void): void {
  writer.u16le(type).u16le(flags).u32le(0);
  const start = writer.length;
  body();
  writer.patchU32le(start - 4, writer.length - start);
}

/** CLIPRDR_CAPS (2.2.2.1): the general set; others are skipped. */
function decodeGeneralCapability(reader: Reader): { version: number; generalFlags: number } {
  const count = reader.u16le('CLIPRDR_CAPS.cCapabilitiesSets');
  reader.skip('CLIPRDR_CAPS.pad1', 2);
  let general = { version: 0, generalFlags: 0 };
  for (let n = 0; n < count; n++) {
    const type = reader.u16le('CLIPRDR_CAPS_SET.capabilitySetType');
    const length = reader.u16le('CLIPRDR_CAPS_SET.lengthCapability');
    if (length < 4) reader.fail('CLIPRDR_CAPS_SET.lengthCapability', `is ${length}, less than its header`, 2);
    const set = reader.part('CLIPRDR_CAPS_SET data', length - 4);
    if (type === CAPSTYPE_GENERAL)
      general = {
        version: set.u32le('CLIPRDR_GENERAL_CAPABILITY.version'),
        generalFlags: set.u32le('CLIPRDR_GENERAL_CAPABILITY.generalFlags'),
      };
  }
  return general;
}

function decodeFileContentsRequest(reader: Reader): FileContentsRequest {
  const request: FileContentsRequest = {
    type: ClipType.fileContentsRequest,
    stream: reader.u32le('FILECONTENTS_REQUEST.streamId'),
    index: reader.u32le('FILECONTENTS_REQUEST.lindex'),
    what: reader.u32le('FILECONTENTS_REQUEST.dwFlags'),
    position: reader.u64le('FILECONTENTS_REQUEST.nPosition'),
    requested: reader.u32le('FILECONTENTS_REQUEST.cbRequested'),
  };
  if (reader.left < 4) return request;
  return { ...request, clipData: reader.u32le('FILECONTENTS_REQUEST.clipDataId') };
}

function decodeFormatName(reader: Reader, form: NameForm): string {
  if (form === 'short-utf16') return reader.utf16('FORMAT_LIST.formatName', SHORT_NAME_BYTES);
  if (form === 'short-ascii') return reader.latin1('FORMAT_LIST.formatName', SHORT_NAME_BYTES);
  let name = '';
  while (reader.left >= 2) {
    const unit = reader.u16le('FORMAT_LIST.wszFormatName');
    if (unit === 0) return name;
    name += String.fromCharCode(unit);
  }
  return name;
}
