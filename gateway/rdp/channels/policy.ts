/** What a policy says about virtual channels, and what the police of a channel has to do with the rest. */
import { matchesGlob } from '../../policy/glob.ts';
import type { Monitor } from './display-control.ts';
import type { Verdict } from './virtual-channel.ts';

/** `text`: plain text only; `all`: every format, files too. */
export type ClipboardScope = 'none' | 'text' | 'all';

export interface RdpChannelPolicy {
  readonly clipboard: { readonly toTarget: ClipboardScope; readonly fromTarget: ClipboardScope };
  readonly drives: boolean;
  readonly printers: boolean;
  readonly smartCards: boolean;
  /** Serial and parallel. */
  readonly ports: boolean;
  /** The target's sound at the client. */
  readonly audioOutput: boolean;
  /** The client's microphone at the target. */
  readonly audioInput: boolean;
  /** The client may change the screen's size and the number of monitors. */
  readonly displayControl: boolean;
  /** Names of further static channels (`rail` …), passed on unseen. */
  readonly staticChannels: readonly string[];
  /** Globs over names of further dynamic channels, passed on unseen. */
  readonly dynamicChannels: readonly string[];
}

export type Side = 'client' | 'target';

/** The way that data goes, whoever asked for it. */
export type Direction = 'toTarget' | 'fromTarget';

/** What the recording and the audit log are told. Texts come from the wire: any character may be in them. */
export type ChannelEvent =
  | {
      readonly kind: 'clipboard';
      readonly direction: Direction;
      /** Registered name, or `#` and the number. */
      readonly format: string;
      /** The beginning, where the format is text. */
      readonly text?: string;
      /** Of the whole data. */
      readonly bytes: number;
    }
  | {
      readonly kind: 'clipboard-files';
      readonly direction: Direction;
      /** The first of them. */
      readonly names: readonly string[];
      /** All of them. */
      readonly count: number;
    }
  | FileEvent
  | { readonly kind: 'layout'; readonly monitors: readonly Monitor[] }
  | { readonly kind: 'refused'; readonly what: string; readonly reason: string };

export type FileAccess = 'read' | 'write' | 'read-write';

/** The target's dealings with a file or device of the client; by clipboard, either side's with a file of the other. */
export interface FileEvent {
  readonly kind: 'file';
  readonly via: 'clipboard' | 'drive' | 'printer' | 'port' | 'smart card';
  /** Told once it has succeeded; `close` says what was moved meanwhile. */
  readonly operation: 'open' | 'list' | 'close' | 'rename' | 'delete';
  /** The device's name and the path behind it, with the separators that the target uses: `C:\folder\file`. */
  readonly path: string;
  readonly to?: string;
  /** What an `open` may do with the content. */
  readonly access?: FileAccess;
  /** The way that a file of the clipboard goes. */
  readonly direction?: Direction;
  /** Of a `close`: bytes that went from the client to the target, and the other way. */
  readonly bytesToTarget?: number;
  readonly bytesFromTarget?: number;
}

/** Where the police of a channel puts what it does beside forwarding. */
export interface Outcome {
  /** Sends a message of the gateway's own, once no other is under way to that side. */
  send(to: Side, message: Uint8Array): void;
  tell(event: ChannelEvent): void;
}

/** Judges the messages of one channel, both ways. */
export interface MessagePolice {
  /** See Judge of virtual-channel.ts. @throws PduError when the message breaks the protocol */
  judge(from: Side, head: Uint8Array, length: number, outcome: Outcome): Verdict;
  /** The target is left for another one: messages that end for the client what it has begun. */
  leave?(): Uint8Array[];
}

export function otherSide(side: Side): Side {
  return side === 'client' ? 'target' : 'client';
}

/**
 * Whether a client's static channel may exist at all: what is refused here is left out of
 * the channels that the target is told of. Names compare without regard to case.
 */
export function staticChannelAllowed(name: string, policy: RdpChannelPolicy): boolean {
  switch (name.toLowerCase()) {
    case 'cliprdr':
      return policy.clipboard.toTarget !== 'none' || policy.clipboard.fromTarget !== 'none';
    case 'rdpdr':
      // Windows opens rdpsnd only for a client that has rdpdr too, with or without devices.
      return policy.drives || policy.printers || policy.smartCards || policy.ports || policy.audioOutput;
    case 'rdpsnd':
      return policy.audioOutput;
    case 'drdynvc':
      return (
        policy.displayControl || policy.audioInput || policy.audioOutput || policy.dynamicChannels.length > 0
      );
    default:
      return policy.staticChannels.some((allowed) => allowed.toLowerCase() === name.toLowerCase());
  }
}

/**
 * Beginnings of names that carry screen, pointer or input past the recorder: never allowed.
 * Without them targets fall back to what is recorded.
 */
const NEVER: readonly string[] = [
  'microsoft::windows::rds::graphics',
  'microsoft::windows::rds::video',
  'microsoft::windows::rds::geometry',
  'microsoft::windows::rds::input',
  'microsoft::windows::rds::coreinput',
  'microsoft::windows::rds::mousecursor',
  'tsmf',
];

/**
 * Why a dynamic channel is refused, or undefined when it is allowed. Names compare without
 * regard to case, so that no spelling that a client takes for a refused name gets by.
 */
export function dynamicChannelRefusal(name: string, policy: RdpChannelPolicy): string | undefined {
  const lower = name.toLowerCase();
  if (NEVER.some((beginning) => lower.startsWith(beginning)))
    return 'the recording would not show what goes over it';
  const byPolicy = 'policy does not allow it';
  switch (lower) {
    case 'microsoft::windows::rds::displaycontrol':
      return policy.displayControl ? undefined : byPolicy;
    case 'audio_input':
      return policy.audioInput ? undefined : byPolicy;
    case 'audio_playback_dvc':
    case 'audio_playback_lossy_dvc':
      return policy.audioOutput ? undefined : byPolicy;
    default:
      return policy.dynamicChannels.some((glob) => matchesGlob(glob.toLowerCase(), lower))
        ? undefined
        : byPolicy;
  }
}
