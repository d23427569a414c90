/** The back leg: dials a target that policy has authorised and logs on with the leased credential. */
import { addAbortListener } from 'node:events';
import type { Socket } from 'node:net';
import ssh2, { type AnyAuthMethod, type AuthenticationType, type ParsedKey } from 'ssh2';
import type { CheckedOutCredential, EndCode, TargetAuthorization } from '../../workers/messages.ts';
import { sharedRead } from '../listener/shared-read.ts';
import { ABANDONED, describeTarget, dialTcp, TargetError } from '../session/dial.ts';
import { BACK_ALGORITHMS, hostKeyAlgorithms, LEGACY_BACK_ALGORITHMS } from './algorithms.ts';
import { hostKeyLine } from './host-key.ts';
import { Leg, Pause, writePerTurn } from './leg.ts';

export interface DialOptions {
  readonly authorization: TargetAuthorization;
  readonly credential: CheckedOutCredential;
  /** For TCP, and once more for the handshake and log-on. */
  readonly timeoutMs: number;
  /** Nobody waits for the leg any more: the dial is given up, its connection destroyed. */
  readonly signal: AbortSignal;
  /** Trust on first use: the key the target showed, as an OpenSSH line. */
  pin(hostKey: string): Promise<void>;
}

/**
 * Connects, verifies the host key, logs on. The leg is paused: nothing of the target is
 * lost before the relay listens.
 * @throws TargetError saying which step failed and why
 */
export async function dialTarget(options: DialOptions): Promise<Leg> {
  const { authorization, timeoutMs, signal } = options;
  const { system } = authorization;
  const socket: Socket = await dialTcp(system, timeoutMs, { onread: sharedRead(() => socket), signal });
  return await logOn(socket, options, describeTarget(system));
}

function logOn(socket: Socket, options: DialOptions, where: string): Promise<Leg> {
  const { authorization, credential } = options;
  const { identity, legacyAlgorithms } = authorization.system;
  const pinned = identity === undefined ? undefined : pinnedKey(identity, where);
  const client = new ssh2.Client();
  return new Promise((resolve, reject) => {
    let failure: TargetError | undefined;
    const fail = (error: TargetError): void => {
      abandoned[Symbol.dispose]();
      failure ??= error;
      reject(failure);
      client.destroy();
      socket.destroy();
    };
    const abandoned = addAbortListener(options.signal, () =>
      fail(new TargetError('target-unreachable', ABANDONED)),
    );

    client.on('ready', () => {
      abandoned[Symbol.dispose]();
      client.removeAllListeners('error');
      client.removeAllListeners('close');
      const leg = new Leg(client, socket);
      leg.pause(Pause.starting);
      resolve(leg);
    });
    client.on('error', (error: Error & { level?: string }) => {
      if (error.level === 'client-authentication')
        fail(
          new TargetError(
            'target-auth-failed',
            `${where} does not accept the credential of ${credential.username}`,
            error,
          ),
        );
      else if (error.level === 'client-timeout')
        fail(
          new TargetError(
            'target-unreachable',
            `cannot reach ${where}: it accepted the connection but did not complete the SSH handshake and log-on` +
              ` within ${options.timeoutMs / 1000} s`,
            error,
          ),
        );
      else if (/no matching/i.test(error.message))
        fail(new TargetError(...noCommonAlgorithm(error.message, where, pinned), error));
      else
        fail(new TargetError('target-unreachable', `cannot open SSH to ${where}: ${error.message}`, error));
    });
    client.on('close', () =>
      fail(
        new TargetError(
          'target-unreachable',
          `${where} closed the connection before the log-on was complete`,
        ),
      ),
    );

    const algorithms = legacyAlgorithms ? LEGACY_BACK_ALGORITHMS : BACK_ALGORITHMS;
    client.connect({
      sock: socket,
      username: credential.username,
      ident: 'Sallyport',
      readyTimeout: options.timeoutMs,
      algorithms:
        pinned === undefined
          ? algorithms
          : { ...algorithms, serverHostKey: hostKeyAlgorithms(pinned.type, legacyAlgorithms) },
      authHandler: authenticationOrder(credential, fail, where),
      hostVerifier: (shown: Buffer, verdict: (valid: boolean) => void) => {
        if (pinned !== undefined) {
          const same = pinned.getPublicSSH().equals(shown);
          if (!same) fail(new TargetError('target-host-key', hostKeyChanged(where)));
          verdict(same);
          return;
        }
        options.pin(hostKeyLine(shown)).then(
          () => verdict(true),
          (error: Error) => {
            fail(
              new TargetError(
                'target-host-key',
                `cannot pin the host key of ${where}: ${error.message}`,
                error,
              ),
            );
            verdict(false);
          },
        );
      },
    });
    writePerTurn(client, socket);
  });
}

function hostKeyChanged(where: string): string {
  return (
    `the host key of ${where} is not the pinned one: either the host was reinstalled or someone is in between.` +
    ' Nothing was sent to it. An administrator must check the key and pin the new one'
  );
}

function pinnedKey(line: string, where: string): ParsedKey {
  const parsed = ssh2.utils.parseKey(line);
  if (parsed instanceof Error)
    throw new TargetError(
      'target-host-key',
      `the pinned host key of ${where} is not readable: ${parsed.message}`,
    );
  return parsed;
}

function noCommonAlgorithm(
  message: string,
  where: string,
  pinned: ParsedKey | undefined,
): [code: EndCode, message: string] {
  if (/host key/i.test(message) && pinned !== undefined)
    return ['target-host-key', `${where} offers no host key of the pinned type ${pinned.type}`];
  return [
    'target-unreachable',
    `${where} and the gateway have no algorithm in common (${message}); legacyAlgorithms of the system may allow it`,
  ];
}

/**
 * One try of each method that fits the credential: a second password try after a refused
 * one could lock the account at the target.
 */
function authenticationOrder(
  credential: CheckedOutCredential,
  fail: (error: TargetError) => void,
  where: string,
): (
  methodsLeft: AuthenticationType[] | null,
  partial: boolean | null,
  next: (auth: AnyAuthMethod) => void,
) => void {
  const { username, password, privateKey, passphrase } = credential;
  const tried = new Set<string>();
  return (methodsLeft, _partial, next) => {
    const offer = (method: AuthenticationType): boolean => {
      if (tried.has(method) || !(methodsLeft?.includes(method) ?? true)) return false;
      tried.add(method);
      return true;
    };
    if (privateKey !== undefined && offer('publickey')) {
      const key = ssh2.utils.parseKey(privateKey, passphrase);
      if (key instanceof Error) {
        fail(
          new TargetError('target-auth-failed', `the private key for ${username} on ${where} cannot be read`),
        );
        return;
      }
      next({ type: 'publickey', username, key });
    } else if (password !== undefined && offer('password')) next({ type: 'password', username, password });
    else if (password !== undefined && !methodsLeft?.includes('password') && offer('keyboard-interactive'))
      next({
        type: 'keyboard-interactive',
        username,
        prompt: (
          _name: string,
          _instructions: string,
          _language: string,
          prompts: readonly { prompt: string; echo?: boolean }[],
          answer: (answers: string[]) => void,
        ) => {
          // One hidden question is the password; anything else (a one-time code, a new
          // password) is not ours to answer and ends as a refused log-on.
          const hidden = prompts.filter((prompt) => prompt.echo !== true);
          answer(prompts.map((prompt) => (hidden.length === 1 && prompt === hidden[0] ? password : '')));
        },
      });
    // `false` (no method is left) is what ssh2 documents and its types forgot.
    else (next as (auth: AnyAuthMethod | false) => void)(false);
  };
}
