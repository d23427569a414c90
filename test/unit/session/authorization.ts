import type { TargetAuthorization } from '../../../workers/messages.ts';

/** To a target that nobody is at, without a limit. */
export const AUTHORIZATION: TargetAuthorization = {
  sessionId: 's1',
  user: 'alice',
  account: 'root',
  system: { name: 'web01', host: '127.0.0.1', port: 22, identity: undefined, legacyAlgorithms: false },
  policy: 'all',
  allow: [],
  record: false,
  keystrokes: false,
  maskKeystrokes: false,
  execLimit: 0,
  maxDuration: undefined,
  idleTimeout: undefined,
  notAfter: undefined,
};
