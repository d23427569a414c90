/** Which capability of a policy a message of the connection protocol needs. */
import type { Capability } from '../../policy/capability.ts';
import { WireReader } from './connection.ts';
import { parseScpCommand } from './scp-command.ts';

/**
 * `free`: needs none; `never`: no policy allows it. Fail closed: what is not listed is
 * refused, because an unknown request may carry what nobody records.
 */
export type Need = Capability | 'free' | 'never';

/** CHANNEL_OPEN by the client: a session's need shows with its requests. */
export function needOfClientOpen(type: string): Need {
  if (type === 'session') return 'free';
  if (type === 'direct-tcpip' || type === 'direct-streamlocal@openssh.com') return 'local-forward';
  return 'never';
}

/** CHANNEL_OPEN by the target. */
export function needOfTargetOpen(type: string): Need {
  if (type === 'forwarded-tcpip' || type === 'forwarded-streamlocal@openssh.com') return 'remote-forward';
  if (type === 'x11') return 'x11';
  if (type === 'auth-agent@openssh.com') return 'agent-forward';
  return 'never';
}

/** GLOBAL_REQUEST by the client. */
export function needOfClientGlobal(type: string): Need {
  switch (type) {
    case 'tcpip-forward':
    case 'cancel-tcpip-forward':
    case 'streamlocal-forward@openssh.com':
    case 'cancel-streamlocal-forward@openssh.com':
      return 'remote-forward';
    case 'keepalive@openssh.com':
    case 'no-more-sessions@openssh.com':
      return 'free';
    default:
      // hostkeys-prove-00@openssh.com among them: the target's host keys are not ours to prove.
      return 'never';
  }
}

/** GLOBAL_REQUEST by the target; hostkeys-00@openssh.com would teach clients the target's keys. */
export function needOfTargetGlobal(type: string): Need {
  return type === 'keepalive@openssh.com' ? 'free' : 'never';
}

/**
 * CHANNEL_REQUEST by the client on a session.
 *
 * @param terminal the program is to run on a pseudo-terminal. Its line discipline, whose modes are the client's choice,
 *   stands between what passes here and what the program gets: nobody could follow SFTP or SCP, so that they are
 *   commands like others
 */
export function needOfSessionRequest(type: string, data: Uint8Array, terminal: boolean): Need {
  switch (type) {
    case 'pty-req':
    case 'env':
    case 'window-change':
    case 'signal':
    case 'break':
    case 'xon-xoff':
    case 'eow@openssh.com':
      return 'free';
    case 'shell':
      return 'shell';
    case 'exec':
      if (terminal) return 'exec';
      return parseScpCommand(new WireReader(data, 0).text('command')) === undefined ? 'exec' : 'scp';
    case 'subsystem':
      if (terminal) return 'exec';
      return new WireReader(data, 0).text('subsystem name') === 'sftp' ? 'sftp' : 'exec';
    case 'x11-req':
      return 'x11';
    case 'auth-agent-req@openssh.com':
      return 'agent-forward';
    default:
      return 'never';
  }
}
