import type { TargetAuthorization } from '../../workers/messages.ts';

/** A session that nothing is recorded of and no limit ends; what matters to a test is put over it. */
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
