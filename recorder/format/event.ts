/**
 * What a recording is made of: timed events, one flat list for all channels of a
 * session. SSH and RDP share the list; a kind says how its payload is read.
 */

/** Kinds marked (raw) carry bytes exactly as they went over the wire, the others a JSON object. */
export const EventKind = {
  /** A channel was opened: {@link ChannelOpened}. */
  channelOpen: 1,
  /** A channel is closed on both sides: {@link ChannelClosed}. */
  channelClose: 2,
  /** A terminal was allocated: {@link TerminalSize} with `term`. */
  terminal: 3,
  /** The terminal changed size: {@link TerminalSize}. */
  resize: 4,
  /** A program was started: {@link ProgramStarted}. */
  start: 5,
  /** (raw) What the target sent to the screen or standard output. */
  output: 6,
  /** (raw) What the target sent as extended data type 1 (standard error). */
  errorOutput: 7,
  /** (raw) What the person sent; on a terminal with unechoed text masked. */
  input: 8,
  /** The program ended: {@link ProgramExited}. */
  exit: 9,
  /** A file operation seen in SFTP or SCP: {@link FileOperation}. */
  file: 10,
  /** Byte counts and digest of a stream: {@link StreamDigest}. */
  digest: 11,
  /** Text that the gateway itself showed: {@link Notice}. */
  notice: 12,
  /** A request that policy refused: {@link Refusal}. */
  refusal: 13,
  /** RDP: a desktop was activated, at first, again or in another size: {@link DesktopActivated}. */
  desktop: 14,
  /** (raw) The updates of a fast-path output PDU, [MS-RDPBCGR] 2.2.9.1.2 `fpOutputUpdates`. */
  fastPathOutput: 15,
  /** (raw) A slow-path data PDU that draws, from `pduType2` of its share data header on (2.2.8.1.1.1.2): 4 bytes, then its body. */
  slowPathOutput: 16,
  /** (raw) A mouse event of the person: pointerFlags, x, y (uint16, little-endian; 2.2.8.1.1.3.1.1.3). */
  mouse: 17,
  /** Something was put on the other side's clipboard: {@link ClipboardCopied}. */
  clipboard: 18,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** One event of a recording. INVARIANT: `at` never decreases within a recording. */
export interface RecordingEvent {
  /** Microseconds since the recording's start. */
  readonly at: number;
  readonly kind: EventKind;
  /** The recording's own channel number, from 0; 0xffffffff where an event belongs to no channel. */
  readonly channel: number;
  readonly payload: Uint8Array;
}

export interface ChannelOpened {
  /** RFC 4254 channel type: `session`, `direct-tcpip`, `forwarded-tcpip`, `x11` … */
  readonly type: string;
  readonly openedBy: 'client' | 'target';
  /** Where a forwarded connection goes and where it came from, `host:port` or a socket path. */
  readonly destination?: string;
  readonly originator?: string;
}
export interface ChannelClosed {
  /** Payload bytes relayed in each direction. */
  readonly fromClient: number;
  readonly fromTarget: number;
}
export interface TerminalSize {
  readonly term?: string;
  readonly columns: number;
  readonly rows: number;
}
export interface ProgramStarted {
  readonly request: 'shell' | 'exec' | 'subsystem';
  /** The command of `exec`, the name of `subsystem`. */
  readonly command?: string;
}
export interface ProgramExited {
  readonly status?: number;
  /** Signal name without `SIG` (RFC 4254 §6.10). */
  readonly signal?: string;
  readonly coreDumped?: boolean;
  readonly message?: string;
}
export interface FileOperation {
  readonly protocol: 'sftp' | 'scp' | 'rdpdr';
  /** `open`, `read`, `write`, `remove`, `rename`, `mkdir`, `upload`, `download` … */
  readonly operation: string;
  readonly path: string;
  /** New name of a rename, target of a link. */
  readonly to?: string;
  readonly bytes?: number;
  /** Of a transfer: lower-case hex SHA-256 of the file's first `bytes` bytes, where these are what passed. */
  readonly sha256?: string;
  /** Of a transfer by SFTP without `sha256`: why there is none, for example `resumed`. */
  readonly unhashed?: string;
  /** What the target answered, when it was not success. */
  readonly error?: string;
}
/** Of one program, or of what passed before one was started, that is held to a limit; long ones may come late. */
export interface StreamDigest {
  readonly stream: 'input' | 'output' | 'errorOutput';
  /** All bytes of the stream, and how many of the first of them the recording holds. */
  readonly bytes: number;
  readonly recorded: number;
  /** Lower-case hex SHA-256 over all bytes of the stream. */
  readonly sha256: string;
}
export interface DesktopActivated {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly bitsPerPixel: number;
}
export interface ClipboardCopied {
  readonly direction: 'to-target' | 'from-target';
  /** Text, cut where it is long; or the names of files. */
  readonly text?: string;
  readonly files?: readonly string[];
  /** All bytes, kept or not. */
  readonly bytes: number;
}
export interface Notice {
  readonly text: string;
}
export interface Refusal {
  readonly request: string;
  readonly reason: string;
}
