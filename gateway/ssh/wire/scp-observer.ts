/**
 * Watches the legacy SCP protocol (rcp's, as OpenSSH's `scp -O` speaks it) in both
 * directions and tells each file. What does not follow the protocol is refused, so
 * nothing else can run behind a command line that looks like scp.
 *
 *   sender    C<mode> SP <size> SP <name> LF, size bytes, NUL    one file
 *             D<mode> SP 0 SP <name> LF … E LF                   one directory
 *             T<mtime> SP 0 SP <atime> SP 0 LF                   times of what follows
 *             1<text> LF or 2<text> LF                           warning, fatal error
 *   receiver  NUL once at the start and in answer to each of the above and to the
 *             end of each file's data; 1<text> LF or 2<text> LF instead when it failed
 */
import type { Hash, OperationSink } from './file-operation.ts';
import { recordedName } from './file-operation.ts';
import type { ScpCommand } from './scp-command.ts';

/** The stream is not SCP: the relay ends the channel. */
export class ScpProtocolError extends Error {
  override readonly name = 'ScpProtocolError';
}

/** A name (NAME_MAX 255; some systems allow 1,024 bytes) and its numbers, or an error text with a path. */
const LINE_MAX = 8192;
/** Directories below each other; PATH_MAX allows 2,048. */
const DEPTH_MAX = 2048;
/** Answers awaited at once: senders that do not wait stay a few records ahead. */
const AWAITED_MAX = 1024;
/** Errors that one side may report and carry on: they are text that nobody checks. */
const ERRORS_MAX = 10_000;

const LF = 0x0a;

interface File {
  readonly path: string;
  readonly to: string | undefined;
  readonly size: number;
  bytes: number;
  hash: Hash | undefined;
  error: string | undefined;
}

/** What the receiver has still to answer. */
type Awaited =
  | { readonly kind: 'start' | 'times' | 'leave' }
  | { readonly kind: 'enter'; readonly path: string; readonly to: string | undefined }
  | { readonly kind: 'file' | 'content'; readonly file: File };

export class ScpObserver {
  readonly #command: ScpCommand;
  readonly #sink: OperationSink;
  readonly #newHash: () => Hash;
  readonly #awaited: Awaited[] = [{ kind: 'start' }];
  /** Directories entered by D and not left by E. */
  readonly #directories: string[] = [];
  readonly #senderLine = new LineBuffer('sender');
  readonly #receiverLine = new LineBuffer('receiver');
  /** The file whose content (`left` bytes, then one status byte) comes next from the sender. */
  #file: File | undefined;
  #left = 0;
  #errors = 0;

  constructor(command: ScpCommand, sink: OperationSink, hash: () => Hash) {
    this.#command = command;
    this.#sink = sink;
    this.#newHash = hash;
  }

  /** Throws {@link ScpProtocolError} when the bytes do not follow the protocol. */
  fromClient(bytes: Uint8Array): void {
    if (this.#command.mode === 'sink') this.#fromSender(bytes);
    else this.#fromReceiver(bytes);
  }

  /** Throws {@link ScpProtocolError} when the bytes do not follow the protocol. */
  fromTarget(bytes: Uint8Array): void {
    if (this.#command.mode === 'sink') this.#fromReceiver(bytes);
    else this.#fromSender(bytes);
  }

  /** The channel is gone: tells the files whose end was not answered. */
  end(): void {
    const files = this.#awaited.flatMap((awaited) => (awaited.kind === 'content' ? [awaited.file] : []));
    if (this.#file !== undefined && this.#file.error === undefined) files.push(this.#file);
    for (const file of files) {
      if (file.bytes < file.size) file.hash = undefined;
      file.error ??= 'not finished';
      this.#tell(file);
    }
    this.#awaited.length = 0;
    this.#file = undefined;
  }

  #fromSender(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const file = this.#file;
      if (file !== undefined && this.#left > 0) {
        const data = chunk.subarray(at, at + this.#left);
        file.bytes += data.length;
        file.hash?.update(data);
        this.#left -= data.length;
        at += data.length;
      } else {
        at = this.#senderLine.push(chunk, at, file !== undefined);
        const line = this.#senderLine.take();
        if (line === undefined) continue;
        if (file === undefined) this.#record(line);
        else this.#contentEnd(file, line);
      }
    }
  }

  /** The status that closes a file's content: a NUL, or that the sender could not read all of it. */
  #contentEnd(file: File, line: Uint8Array): void {
    if (line[0] !== 0) {
      this.#countError();
      file.error ??= errorText(line);
      file.hash = undefined;
    }
    this.#file = undefined;
    this.#await({ kind: 'content', file });
  }

  #record(line: Uint8Array): void {
    switch (line[0]) {
      case 0x43: // C
        this.#fileRecord(line);
        return;
      case 0x44: // D
        this.#directoryRecord(line);
        return;
      case 0x45: // E
        if (line.length !== 1) throw new ScpProtocolError('scp end-of-directory record: has text behind it');
        if (this.#directories.pop() === undefined)
          throw new ScpProtocolError('scp end-of-directory record: no directory is open');
        this.#await({ kind: 'leave' });
        return;
      case 0x54: // T
        if (!/^T\d{1,20} \d{1,9} \d{1,20} \d{1,9}$/.test(latin1(line))) {
          throw new ScpProtocolError('scp times record: is not four numbers');
        }
        this.#await({ kind: 'times' });
        return;
      case 1:
      case 2:
        this.#countError();
        this.#sink.operation({ operation: this.#verb(), path: this.#command.path, error: errorText(line) });
        return;
      default:
        throw new ScpProtocolError(`scp record: begins with byte ${line[0]}; this is not the scp protocol`);
    }
  }

  #fileRecord(line: Uint8Array): void {
    const { size, name } = readEntry(line);
    const where = this.#place(name);
    this.#file = { ...where, size, bytes: 0, hash: this.#newHash(), error: undefined };
    this.#left = size;
    this.#await({ kind: 'file', file: this.#file });
  }

  #directoryRecord(line: Uint8Array): void {
    if (!this.#command.recursive)
      throw new ScpProtocolError('scp directory record: the command is not recursive');
    if (this.#directories.length >= DEPTH_MAX)
      throw new ScpProtocolError(`scp directory record: more than ${DEPTH_MAX} deep`);
    const { name } = readEntry(line);
    const where = this.#place(name);
    this.#directories.push(name);
    this.#await({ kind: 'enter', ...where });
  }

  /**
   * Where a name that the sender gave lies. A sink that is given one path writes into it
   * when it is a directory and under that name when not, and the protocol does not say
   * which: then `path` is the path of the command and `to` what was sent.
   */
  #place(name: string): { path: string; to: string | undefined } {
    const { mode, path, directory } = this.#command;
    const inner = [...this.#directories, name].join('/');
    if (mode === 'source') {
      const slash = path.replace(/\/+$/, '').lastIndexOf('/');
      return { path: path.slice(0, slash + 1) + inner, to: undefined };
    }
    if (path.endsWith('/')) return { path: path + inner, to: undefined };
    if (directory || /(^|\/)\.{1,2}$/.test(path) || path === '~')
      return { path: `${path}/${inner}`, to: undefined };
    return { path, to: inner };
  }

  #await(awaited: Awaited): void {
    if (this.#awaited.length >= AWAITED_MAX)
      throw new ScpProtocolError(`scp records: more than ${AWAITED_MAX} unanswered`);
    this.#awaited.push(awaited);
  }

  #fromReceiver(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      at = this.#receiverLine.push(chunk, at, true);
      const line = this.#receiverLine.take();
      if (line !== undefined) this.#answer(line[0] === 0 ? undefined : errorText(line));
    }
  }

  #answer(error: string | undefined): void {
    if (error !== undefined) this.#countError();
    const awaited = this.#awaited.shift();
    if (awaited === undefined) {
      // A receiver may add an error after its last answer, never another consent.
      if (error === undefined) throw new ScpProtocolError('scp answer: answers nothing');
      this.#sink.operation({ operation: this.#verb(), path: this.#command.path, error });
      return;
    }
    switch (awaited.kind) {
      case 'start':
      case 'times':
      case 'leave':
        if (error !== undefined)
          this.#sink.operation({ operation: this.#verb(), path: this.#command.path, error });
        return;
      case 'enter':
        this.#entered(awaited, error);
        return;
      case 'file':
        if (error === undefined) return;
        awaited.file.error ??= error;
        // A sender that waits for its answer skips the content.
        if (this.#file !== awaited.file || awaited.file.bytes > 0 || !this.#senderLine.empty)
          throw notAwaited();
        this.#file = undefined;
        awaited.file.hash = undefined;
        this.#tell(awaited.file);
        return;
      case 'content':
        awaited.file.error ??= error;
        this.#tell(awaited.file);
    }
  }

  #entered(
    directory: { readonly path: string; readonly to: string | undefined },
    error: string | undefined,
  ): void {
    if (error !== undefined) {
      // A sender that waits for its answer does not descend, and sends no E.
      if (this.#awaited.length > 0 || this.#file !== undefined || !this.#senderLine.empty) throw notAwaited();
      this.#directories.pop();
    }
    if (this.#command.mode === 'source' && error === undefined) return;
    this.#sink.operation({
      operation: this.#command.mode === 'sink' ? 'mkdir' : 'list',
      path: directory.path,
      ...(directory.to === undefined ? {} : { to: directory.to }),
      ...(error === undefined ? {} : { error }),
    });
  }

  #tell(file: File): void {
    this.#sink.operation({
      operation: this.#verb(),
      path: file.path,
      ...(file.to === undefined ? {} : { to: file.to }),
      bytes: file.bytes,
      ...(file.hash === undefined ? {} : { sha256: file.hash.digestHex() }),
      ...(file.error === undefined ? {} : { error: file.error }),
    });
  }

  #verb(): 'upload' | 'download' {
    return this.#command.mode === 'sink' ? 'upload' : 'download';
  }

  #countError(): void {
    this.#errors++;
    if (this.#errors > ERRORS_MAX) throw new ScpProtocolError(`scp errors: more than ${ERRORS_MAX}`);
  }
}

/** A receiver that refuses a record takes what follows for the next one, whatever its sender meant by it. */
function notAwaited(): ScpProtocolError {
  return new ScpProtocolError('scp answer: refuses what the sender has gone on with, unasked');
}

/** `C0644 12 name` or `D0755 0 name`, without its line feed. */
function readEntry(line: Uint8Array): { size: number; name: string } {
  const fields = /^[CD][0-7]{4,5} (\d{1,16}) /.exec(latin1(line.subarray(0, 32)));
  if (fields === null) throw new ScpProtocolError('scp file record: is not mode, size and name');
  const size = Number(fields[1]);
  if (!Number.isSafeInteger(size))
    throw new ScpProtocolError(`scp file size: ${size} bytes is beyond any file`);
  const name = recordedName(line.subarray(fields[0].length));
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw new ScpProtocolError('scp file name: is not one plain name');
  }
  return { size, name };
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The text behind a status byte 1 or 2, without the program's own name. */
function errorText(line: Uint8Array): string {
  return (
    recordedName(line.subarray(1, 513))
      .replace(/^scp: /, '')
      .trim() || 'failed without a reason'
  );
}

/** Collects one record of a direction: a status byte NUL, or a line up to its line feed. */
class LineBuffer {
  readonly #side: string;
  #bytes = new Uint8Array(256);
  #filled = 0;
  #complete = false;

  constructor(side: string) {
    this.#side = side;
  }

  get empty(): boolean {
    return this.#filled === 0;
  }

  /**
   * Takes bytes of `chunk` from `at` up to the end of a record; returns where it stopped.
   * `status`: only a status may stand here.
   */
  push(chunk: Uint8Array, at: number, status: boolean): number {
    const first = this.#filled === 0 ? chunk[at] : this.#bytes[0];
    if (status && first !== 0 && first !== 1 && first !== 2) {
      throw new ScpProtocolError(`scp status of the ${this.#side}: byte ${first} is not 0, 1 or 2`);
    }
    if (status && first === 0) {
      this.#append(chunk.subarray(at, at + 1));
      this.#complete = true;
      return at + 1;
    }
    if (
      first === undefined ||
      !(first === 1 || first === 2 || (first >= 0x43 && first <= 0x45) || first === 0x54)
    ) {
      throw new ScpProtocolError(
        `scp record of the ${this.#side}: begins with byte ${first}; this is not the scp protocol`,
      );
    }
    const end = chunk.indexOf(LF, at);
    if (end < 0) {
      this.#append(chunk.subarray(at));
      return chunk.length;
    }
    this.#append(chunk.subarray(at, end));
    this.#complete = true;
    return end + 1;
  }

  /** The record, when it is complete; valid until the next push. */
  take(): Uint8Array | undefined {
    if (!this.#complete) return undefined;
    const record = this.#bytes.subarray(0, this.#filled);
    this.#complete = false;
    this.#filled = 0;
    return record;
  }

  #append(bytes: Uint8Array): void {
    const size = this.#filled + bytes.length;
    if (size > LINE_MAX)
      throw new ScpProtocolError(`scp record of the ${this.#side}: longer than ${LINE_MAX} bytes`);
    if (size > this.#bytes.length) {
      const bigger = new Uint8Array(LINE_MAX);
      bigger.set(this.#bytes.subarray(0, this.#filled));
      this.#bytes = bigger;
    }
    this.#bytes.set(bytes, this.#filled);
    this.#filled = size;
  }
}
