/**
 * Requests on a channel (RFC 4254 §5.4, §6.2 to §6.10): the client's are held to policy, both
 * sides' are recorded, and each is answered in its turn.
 */
import { REFUSED_STATUS, type RelayChannel } from './channel.ts';
import type { Permits } from './permits.ts';
import {
  type ChannelRequest,
  readChannelRequest,
  readTerminalRequest,
  readWindowChange,
  WireReader,
} from './wire/connection.ts';
import { type Need, needOfSessionRequest } from './wire/permission.ts';

export class ChannelRequests {
  readonly #permits: Permits;
  readonly #onRefusal: (request: string, reason: string) => void;

  constructor(permits: Permits, onRefusal: (request: string, reason: string) => void) {
    this.#permits = permits;
    this.#onRefusal = onRefusal;
  }

  /**
   * @param answered the desk has already answered it: the target's reply is for us alone
   * @returns whether a person or their program stands behind it. Keepalives and window probes of clients, which
   *   are of no kind that passes, tell of nobody's presence
   * @throws SshWireError
   */
  fromClient(channel: RelayChannel, message: Uint8Array, answered: boolean): boolean {
    if (channel.dead) return false;
    const request = readChannelRequest(message);
    const need =
      channel.type === 'session'
        ? needOfSessionRequest(request.type, request.data, channel.terminal)
        : 'never';
    this.#pass(channel, message, request, need, answered);
    return need !== 'never';
  }

  #pass(
    channel: RelayChannel,
    message: Uint8Array,
    request: ChannelRequest,
    need: Need,
    answered: boolean,
  ): void {
    const starts = request.type === 'shell' || request.type === 'exec' || request.type === 'subsystem';
    if (starts && channel.started) {
      // RFC 4254 §6.5: only one of these can succeed per channel.
      if (request.wantReply && !answered) channel.answerClient(false);
      return;
    }
    if (request.type === 'pty-req' && (channel.started || channel.terminal)) {
      // RFC 4254 §6.2: one terminal, before the program. Another one later would change how
      // the running program's streams are recorded, and not what they are.
      if (request.wantReply && !answered) channel.answerClient(false);
      return;
    }
    const acts =
      starts || request.type === 'pty-req' || (channel.terminal && request.type !== 'window-change');
    // X11 or an agent: the desk said yes before anybody could know, so a no is shown as text.
    const promised = answered && request.wantReply && !starts && need !== 'free';
    const refusal = this.#permits.refusalOfRequest(need, request.type, acts);
    if (refusal !== undefined) {
      // Requests that no policy knows (PuTTY's window probes are such) are refused as a matter of course.
      if (need !== 'never') {
        const what = need === 'free' ? request.type : need;
        this.#onRefusal(what, refusal);
        channel.record.refusal(what, refusal);
      }
      // A client shows what a program writes, not why a request failed: a program that is
      // refused "starts", says why on standard error and exits.
      if (request.wantReply && !answered) channel.answerClient(starts);
      if (promised) channel.show(`sallyport: ${refusal}\r\n`);
      if (starts)
        channel.clientReplies.decided(() => channel.abort(`sallyport: ${refusal}\r\n`, REFUSED_STATUS));
      return;
    }
    observe(channel, request.type, request.data, need);
    const refusedByTarget = (): void => {
      if (request.type === 'pty-req') {
        channel.terminal = false;
        channel.record.terminalRefused();
      } else if (starts && answered)
        channel.abort(`sallyport: the target refused the ${request.type} request\r\n`, REFUSED_STATUS);
      // Clients try another program then: some servers have sftp only as a command.
      else if (starts) channel.started = false;
      else if (promised) channel.show(`sallyport: the target refused the ${request.type} request\r\n`);
    };
    const replied = (succeeded: boolean): void => {
      if (!succeeded) refusedByTarget();
    };
    if (request.wantReply && !answered) channel.clientReplies.forwarded(replied);
    else if (request.wantReply) channel.clientReplies.asked(replied);
    else if (request.type === 'pty-req') {
      // Whether there is a terminal decides how the channel is recorded: the target must say.
      channel.clientReplies.asked(replied);
      channel.fromClient(wantingReply(message, request.data.length));
      return;
    }
    channel.fromClient(message);
  }

  /** @throws SshWireError */
  fromTarget(channel: RelayChannel, message: Uint8Array): void {
    if (channel.dead) return;
    const request = readChannelRequest(message);
    if (request.type === 'exit-status')
      channel.record.exit({ status: new WireReader(request.data, 0).uint32('exit status') });
    else if (request.type === 'exit-signal') {
      const reader = new WireReader(request.data, 0);
      channel.record.exit({
        signal: reader.text('signal name'),
        coreDumped: reader.boolean('core dumped'),
        message: reader.text('error message'),
      });
    }
    if (request.wantReply) channel.targetReplies.forwarded();
    channel.fromTarget(message);
  }
}

/** Records what a request that goes to the target means for the channel. */
function observe(channel: RelayChannel, type: string, data: Uint8Array, need: Need): void {
  if (type === 'pty-req') {
    channel.terminal = true;
    channel.record.terminal(readTerminalRequest(data));
  } else if (type === 'window-change') {
    channel.record.resize(readWindowChange(data));
  } else if (type === 'shell' || type === 'exec' || type === 'subsystem') {
    channel.started = true;
    const command = type === 'shell' ? undefined : new WireReader(data, 0).text('command');
    channel.record.start(type, command, need === 'scp' || need === 'sftp' ? need : 'stream', (error) =>
      channel.abort(`sallyport: ${error.message}\r\n`, REFUSED_STATUS),
    );
  }
}

/** A copy of a channel request with `want reply` set, the byte before its data (RFC 4254 §5.4). */
function wantingReply(message: Uint8Array, dataLength: number): Uint8Array {
  const asking = new Uint8Array(message);
  asking[asking.length - dataLength - 1] = 1;
  return asking;
}
