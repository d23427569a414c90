/**
 * Watches an SFTP version 3 channel (draft-ietf-secsh-filexfer-02, with OpenSSH's
 * extensions) in both directions and tells each file operation once its outcome is
 * known. Changes nothing; holds no file content but what is out of order.
 */
import { FileContent, type WaitingRoom } from './file-content.ts';
import type { Hash, ObservedOperation, OperationSink } from './file-operation.ts';
import { recordedName } from './file-operation.ts';
import type { SftpBody } from './sftp-packets.ts';
import { SftpPackets, SftpType } from './sftp-packets.ts';

export type { Hash, ObservedOperation, OperationSink } from './file-operation.ts';
export { SftpProtocolError } from './sftp-packets.ts';

/**
 * Of a session. OpenSSH's client keeps 64 requests in flight, others a few hundred; Paramiko asks for all of a file at
 * once, of which no more than some 75,000 requests fit into a window of sshd's and what sftp-server has read.
 */
const REQUESTS_MAX = 131_072;
/** Above the usual limit of open files of one server process. */
const HANDLES_MAX = 1024;

/** Flags of OPEN, §6.3. */
const OPEN_WRITE = 0x02;
const OPEN_APPEND = 0x04;

/** STATUS codes, §7. */
const STATUS_OK = 0;
const STATUS_EOF = 1;
const STATUS_NAMES = [
  'ok',
  'end of file',
  'no such file',
  'permission denied',
  'failure',
  'bad message',
  'no connection',
  'connection lost',
  'operation unsupported',
];

/** Extended requests that change nothing. */
const HARMLESS: ReadonlySet<string> = new Set([
  'limits@openssh.com',
  'statvfs@openssh.com',
  'fstatvfs@openssh.com',
  'fsync@openssh.com',
  'expand-path@openssh.com',
  'users-groups-by-id@openssh.com',
  'home-directory',
  'vendor-id',
  'check-file',
  'check-file-handle',
  'check-file-name',
  'space-available',
  'version-select',
]);

interface OpenFile {
  readonly kind: 'file' | 'directory';
  readonly path: string;
  readonly flags: number;
  readonly read: FileContent;
  readonly write: FileContent;
  /** Took part in a copy on the target, which was told as such. */
  copied: boolean;
  error: string | undefined;
}

/** A request whose answer is awaited. */
type Request =
  | { readonly kind: 'open'; readonly path: string; readonly flags: number }
  | { readonly kind: 'opendir'; readonly path: string }
  | { readonly kind: 'close'; readonly file: OpenFile | undefined }
  | { readonly kind: 'read'; readonly file: OpenFile | undefined; readonly offset: number }
  | { readonly kind: 'write'; readonly file: OpenFile }
  | { readonly kind: 'change'; readonly operation: ObservedOperation }
  /** Nothing of it is recorded. */
  | { readonly kind: 'quiet' };

const QUIET: Request = { kind: 'quiet' };

export class SftpObserver {
  readonly #sink: OperationSink;
  readonly #newHash: () => Hash;
  readonly #room: WaitingRoom;
  readonly #client: SftpPackets;
  readonly #target: SftpPackets;
  readonly #requests = new Map<number, Request>();
  readonly #files = new Map<string, OpenFile>();
  #initSeen = false;
  #versionSeen = false;
  /** The content that the data now passing belongs to, one per direction. */
  #writing: FileContent | undefined;
  #reading: FileContent | undefined;

  /** @param room for content out of order, shared with the session's other channels */
  constructor(sink: OperationSink, hash: () => Hash, room: WaitingRoom) {
    this.#sink = sink;
    this.#newHash = hash;
    this.#room = room;
    this.#client = new SftpPackets('client', {
      packet: (type, body) => this.#request(type, body),
      dataStart: (_type, head, size) => this.#writeStart(head, size),
      data: (bytes) => this.#writing?.push(bytes),
      dataEnd: () => {
        this.#writing?.end();
        this.#writing = undefined;
      },
    });
    this.#target = new SftpPackets('target', {
      packet: (type, body) => this.#response(type, body),
      dataStart: (_type, head, size) => this.#readStart(head, size),
      data: (bytes) => this.#reading?.push(bytes),
      dataEnd: () => {
        this.#reading?.end();
        this.#reading = undefined;
      },
    });
  }

  /** Throws {@link SftpProtocolError} when the stream is not SFTP version 3. */
  fromClient(bytes: Uint8Array): void {
    this.#client.push(bytes);
  }

  /** Throws {@link SftpProtocolError} when the stream is not SFTP version 3. */
  fromTarget(bytes: Uint8Array): void {
    this.#target.push(bytes);
  }

  /** The channel is gone: tells what was still open, and changes that nobody answered. */
  end(): void {
    const open = [...this.#files.values()];
    for (const request of this.#requests.values()) {
      if (request.kind === 'change') this.#sink.operation({ ...request.operation, error: 'no answer' });
      else if (request.kind === 'close' && request.file !== undefined) open.push(request.file);
    }
    this.#room.requests -= this.#requests.size;
    this.#requests.clear();
    for (const file of open) {
      file.error ??= 'not closed';
      this.#tellFile(file);
    }
    this.#files.clear();
  }

  #request(type: number, body: SftpBody): void {
    if (type === SftpType.init) {
      if (this.#initSeen) throw body.error('init', 'a second one');
      this.#initSeen = true;
      return;
    }
    if (!this.#initSeen) throw body.error('type', 'a request before init');
    const id = body.uint32('id');
    this.#await(id, this.#readRequest(type, body), body);
  }

  #await(id: number, request: Request, body: SftpBody): void {
    if (this.#requests.has(id)) throw body.error('id', `${id} is still unanswered`);
    if (this.#room.requests >= REQUESTS_MAX)
      throw body.error('id', `more than ${REQUESTS_MAX} requests unanswered`);
    this.#room.requests += 1;
    this.#requests.set(id, request);
  }

  #readRequest(type: number, body: SftpBody): Request {
    switch (type) {
      case SftpType.open:
        return { kind: 'open', path: recordedName(body.bytes('filename')), flags: body.uint32('pflags') };
      case SftpType.opendir:
        return { kind: 'opendir', path: recordedName(body.bytes('path')) };
      case SftpType.close: {
        const handle = body.handle();
        const file = this.#files.get(handle);
        // The target may give the same handle to the next file before it is known here that this one is closed.
        this.#files.delete(handle);
        return { kind: 'close', file };
      }
      case SftpType.read:
        // Some clients close a file while they still ask for more of it: that is refused, and shows no content.
        return { kind: 'read', file: this.#files.get(body.handle()), offset: body.uint64('offset') };
      case SftpType.remove:
        return change('remove', body.bytes('filename'));
      case SftpType.rename:
        return change('rename', body.bytes('oldpath'), body.bytes('newpath'));
      case SftpType.mkdir:
        return change('mkdir', body.bytes('path'));
      case SftpType.rmdir:
        return change('rmdir', body.bytes('path'));
      case SftpType.symlink: {
        // The draft puts the link first, every implementation follows OpenSSH and puts its target first.
        const target = body.bytes('targetpath');
        return change('symlink', body.bytes('linkpath'), target);
      }
      case SftpType.setstat:
        return this.#setstat(recordedName(body.bytes('path')), body);
      case SftpType.fsetstat:
        return this.#setstat(this.#fileOf(body).path, body);
      case SftpType.extended:
        return this.#extended(recordedName(body.bytes('extended-request', 256)), body);
      case SftpType.lstat:
      case SftpType.fstat:
      case SftpType.readdir:
      case SftpType.realpath:
      case SftpType.stat:
      case SftpType.readlink:
        return QUIET;
      default:
        throw body.error('type', 'is no request of version 3');
    }
  }

  #extended(name: string, body: SftpBody): Request {
    switch (name) {
      case 'posix-rename@openssh.com':
        return change('rename', body.bytes('oldpath'), body.bytes('newpath'));
      case 'hardlink@openssh.com': {
        const existing = body.bytes('oldpath');
        return change('hardlink', body.bytes('newpath'), existing);
      }
      case 'lsetstat@openssh.com':
        return this.#setstat(recordedName(body.bytes('path')), body);
      case 'copy-data': {
        const from = this.#fileOf(body, 'read-from-handle');
        body.uint64('read-from-offset');
        body.uint64('read-data-length');
        const to = this.#fileOf(body, 'write-to-handle');
        from.copied = true;
        to.copied = true;
        // The target writes the content itself: what passes here is not the whole file.
        to.write.lose('copied on the target');
        return { kind: 'change', operation: { operation: 'copy', path: from.path, to: to.path } };
      }
      default:
        if (HARMLESS.has(name)) return QUIET;
        return { kind: 'change', operation: { operation: 'extended', path: name } };
    }
  }

  /**
   * The file of a handle that the target gave and nobody has closed.
   * @throws SftpProtocolError for any other, which a client could predict: what passes by it would be on no file's
   *   record
   */
  #fileOf(body: SftpBody, field = 'handle'): OpenFile {
    const file = this.#files.get(body.handle(field));
    if (file === undefined) throw body.error(field, 'is not open');
    return file;
  }

  /** Attributes (§5): `to` lists those that matter, for example `size=0 owner=0:0 perm=0644`. */
  #setstat(path: string, body: SftpBody): Request {
    const flags = body.uint32('flags');
    const parts: string[] = [];
    if (flags & 0x1) parts.push(`size=${body.uint64('size')}`);
    if (flags & 0x2) parts.push(`owner=${body.uint32('uid')}:${body.uint32('gid')}`);
    if (flags & 0x4) parts.push(`perm=${(body.uint32('permissions') & 0o7777).toString(8).padStart(4, '0')}`);
    if (parts.length === 0) return QUIET;
    return { kind: 'change', operation: { operation: 'setstat', path, to: parts.join(' ') } };
  }

  #writeStart(head: SftpBody, size: number): void {
    if (!this.#initSeen) throw head.error('type', 'a request before init');
    const id = head.uint32('id');
    const file = this.#fileOf(head);
    this.#await(id, { kind: 'write', file }, head);
    if (file.kind !== 'file') return;
    this.#writing = file.write;
    file.write.begin(head.uint64('offset'), size);
  }

  #readStart(head: SftpBody, size: number): void {
    const request = this.#answered(head);
    if (request.kind !== 'read') throw head.error('type', `data in answer to ${request.kind}`);
    if (request.file === undefined) throw head.error('id', 'is data of a file that is not open');
    if (request.file.kind !== 'file') return;
    this.#reading = request.file.read;
    request.file.read.begin(request.offset, size);
  }

  #answered(body: SftpBody): Request {
    if (!this.#versionSeen) throw body.error('type', 'an answer before version');
    const id = body.uint32('id');
    const request = this.#requests.get(id);
    if (request === undefined) throw body.error('id', `${id} answers no request`);
    this.#requests.delete(id);
    this.#room.requests -= 1;
    return request;
  }

  #response(type: number, body: SftpBody): void {
    if (type === SftpType.version) {
      const version = body.uint32('version');
      if (this.#versionSeen || !this.#initSeen) throw body.error('version', 'sent out of turn');
      if (version !== 3) throw body.error('version', `is ${version}; only version 3 can be followed`);
      this.#versionSeen = true;
      return;
    }
    const request = this.#answered(body);
    if (type === SftpType.status) {
      const code = body.uint32('code');
      this.#status(request, code, code === STATUS_OK ? undefined : statusText(code, body));
    } else if (type === SftpType.handle) {
      this.#opened(request, body);
    } else if (type === SftpType.name || type === SftpType.attrs || type === SftpType.extendedReply) {
      // An extended request may be answered by its own reply instead of a status (§8).
      if (request.kind === 'change') this.#sink.operation(request.operation);
      else if (request.kind !== 'quiet') throw body.error('type', `in answer to ${request.kind}`);
    } else {
      throw body.error('type', 'is no answer of version 3');
    }
  }

  #status(request: Request, code: number, error: string | undefined): void {
    switch (request.kind) {
      case 'open':
        this.#sink.operation({ operation: 'open', path: request.path, error: error ?? 'no handle' });
        break;
      case 'opendir':
        this.#sink.operation({ operation: 'list', path: request.path, error: error ?? 'no handle' });
        break;
      case 'change':
        this.#sink.operation(error === undefined ? request.operation : { ...request.operation, error });
        break;
      case 'read':
        if (request.file !== undefined && code !== STATUS_EOF) request.file.error ??= error;
        break;
      case 'write':
        if (error !== undefined) {
          request.file.error ??= error;
          request.file.write.lose('write failed');
        }
        break;
      case 'close':
        if (request.file === undefined) break;
        request.file.error ??= error;
        this.#tellFile(request.file);
        break;
      case 'quiet':
        break;
    }
  }

  #opened(request: Request, body: SftpBody): void {
    if (request.kind !== 'open' && request.kind !== 'opendir')
      throw body.error('type', `a handle in answer to ${request.kind}`);
    const handle = body.handle();
    const directory = request.kind === 'opendir';
    if (directory) this.#sink.operation({ operation: 'list', path: request.path });
    const before = this.#files.get(handle);
    if (before !== undefined) this.#tellFile(before);
    else if (this.#files.size >= HANDLES_MAX) throw body.error('handle', `more than ${HANDLES_MAX} are open`);
    const flags = directory ? 0 : request.flags;
    const write = new FileContent(this.#room, this.#newHash);
    // The offsets then say nothing about where the bytes land (§6.3).
    if (flags & OPEN_APPEND) write.lose('appended');
    this.#files.set(handle, {
      kind: directory ? 'directory' : 'file',
      path: request.path,
      flags,
      read: new FileContent(this.#room, this.#newHash),
      write,
      copied: false,
      error: undefined,
    });
  }

  /** One line per file: what passed between its open and its close. */
  #tellFile(file: OpenFile): void {
    if (file.kind === 'directory') return;
    const { read, write } = file;
    const wrote = write.bytes > 0 || (read.bytes === 0 && (file.flags & OPEN_WRITE) !== 0);
    const both = wrote && read.bytes > 0;
    const digest = both ? { unhashed: 'read and written' } : (wrote ? write : read).finish();
    // What may still wait in the other one gives its room back.
    for (const content of [read, write]) content.lose('cut off');
    if (file.copied && read.bytes + write.bytes === 0 && file.error === undefined) return;
    this.#sink.operation({
      operation: both ? 'read+write' : wrote ? 'upload' : 'download',
      path: file.path,
      bytes: both ? read.bytes + write.bytes : wrote ? write.bytes : read.bytes,
      ...digest,
      ...(file.error === undefined ? {} : { error: file.error }),
    });
  }
}

function change(operation: string, path: Uint8Array, to?: Uint8Array): Request {
  return {
    kind: 'change',
    operation: { operation, path: recordedName(path), ...(to === undefined ? {} : { to: recordedName(to) }) },
  };
}

/** STATUS (§7): the code's name, and the server's own words where it has some. */
function statusText(code: number, body: SftpBody): string {
  const name = STATUS_NAMES[code] ?? `status ${code}`;
  // Version 3 servers of old send no message.
  const message = body.left < 4 ? '' : recordedName(body.bytes('error message').subarray(0, 256));
  return message === '' || message.toLowerCase() === name ? name : `${name}: ${message}`;
}
