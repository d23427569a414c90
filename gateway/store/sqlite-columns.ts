/** What the embedded store's tables hold: each field of the port's rows with the codec of its column. */
import { CAPABILITIES, type Capability, PROTOCOLS } from '../policy/capability.ts';
import type { Retention } from '../policy/retention.ts';
import type { Schedule } from '../policy/schedule.ts';
import {
  type AccountRow,
  type AuditRow,
  type CommandRow,
  type KeystrokeRow,
  type LaunchRow,
  NODE_STATES,
  NODE_VERBS,
  type NodeRow,
  type PolicyRow,
  ROLES,
  SESSION_STATES,
  SESSION_VERBS,
  type SessionRow,
  type SystemRow,
  type UserRow,
} from './port.ts';
import { bytes, flag, integer, json, oneOf, optional, Table, text } from './sqlite-rows.ts';

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
const isCapabilities = (value: unknown): value is readonly Capability[] =>
  Array.isArray(value) && value.every((item) => CAPABILITIES.some((capability) => capability === item));
const isSchedules = (value: unknown): value is readonly Schedule[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null && 'days' in item);
/** JSON has no undefined: a window without a time zone gets its field back. */
const storedSchedules = json(isSchedules);
const schedules: typeof storedSchedules = {
  toSql: storedSchedules.toSql,
  fromSql: (raw) => {
    const read = storedSchedules.fromSql(raw);
    return read && { value: read.value.map((window) => ({ ...window, timeZone: window.timeZone })) };
  },
};
const isDetail = (value: unknown): value is AuditRow['detail'] => typeof value === 'object' && value !== null;
const isLimit = (value: unknown): value is number | 'full' => typeof value === 'number' || value === 'full';
const isRetention = (value: unknown): value is Retention => typeof value === 'number' || value === 'forever';
const KINDS = ['keys', 'command'] as const;

export const USERS = new Table<UserRow>('users', {
  id: text,
  name: text,
  role: oneOf(ROLES),
  passwordHash: optional(text),
  sshKeys: json(isTexts),
  totp: optional(bytes),
  ntHash: optional(bytes),
  disabled: flag,
});
export const SYSTEMS = new Table<SystemRow>('systems', {
  id: text,
  name: text,
  protocol: oneOf(PROTOCOLS),
  host: text,
  port: integer,
  hostKey: optional(text),
  pinned: optional(text),
  certificate: optional(text),
  legacyAlgorithms: flag,
  maxSessions: optional(integer),
});
export const ACCOUNTS = new Table<AccountRow>('accounts', {
  id: text,
  name: text,
  system: text,
  secret: bytes,
  secretFingerprint: text,
});
export const POLICIES = new Table<PolicyRow>('policies', {
  id: text,
  name: text,
  users: json(isTexts),
  accounts: json(isTexts),
  allow: json(isCapabilities),
  record: flag,
  keystrokes: flag,
  maskKeystrokes: flag,
  reasonRequired: flag,
  maxSessions: optional(integer),
  maxDuration: optional(integer),
  idleTimeout: optional(integer),
  schedule: schedules,
  notBefore: optional(integer),
  notAfter: optional(integer),
  execLimit: json(isLimit),
  retention: optional(json(isRetention)),
});
export const NODES = new Table<NodeRow>('nodes', {
  id: text,
  name: text,
  home: text,
  startedAt: integer,
  renewals: integer,
  leaseMs: integer,
  state: oneOf(NODE_STATES),
  heir: optional(text),
  standing: text,
  standingAt: integer,
});
export const SESSIONS = new Table<SessionRow>('sessions', {
  id: text,
  node: text,
  run: text,
  protocol: oneOf(PROTOCOLS),
  user: text,
  account: text,
  system: text,
  policy: text,
  source: text,
  reason: optional(text),
  state: oneOf(SESSION_STATES),
  openedAt: integer,
  startedAt: optional(integer),
  endedAt: optional(integer),
  endCode: optional(text),
  endReason: optional(text),
  bytesFromClient: integer,
  bytesFromTarget: integer,
  credentialLease: optional(text),
  recorded: flag,
  segments: optional(integer),
  recordedBytes: optional(integer),
  headHash: optional(text),
  sealed: flag,
  recoveredBy: optional(text),
  unsealable: optional(text),
  spooledOn: optional(text),
  compacted: flag,
  retention: optional(json(isRetention)),
  heldAt: optional(integer),
  heldBy: optional(text),
  holdReason: optional(text),
  prunedBy: optional(text),
  pruneRule: optional(text),
  prunedAt: optional(integer),
});
export const COMMANDS = new Table<CommandRow>('commands', {
  id: text,
  node: text,
  subject: text,
  verb: oneOf([...SESSION_VERBS, ...NODE_VERBS]),
  limitMs: optional(integer),
  by: text,
  reason: optional(text),
  createdAt: integer,
  doneAt: optional(integer),
  result: optional(text),
});
export const LAUNCHES = new Table<LaunchRow>('launches', {
  id: text,
  user: text,
  account: text,
  system: text,
  ntHash: bytes,
  nla: flag,
  source: optional(text),
  createdAt: integer,
  expiresAt: integer,
  usedAt: optional(integer),
});
export const AUDIT = new Table<AuditRow>('audit', {
  id: text,
  at: integer,
  node: text,
  code: text,
  actor: text,
  source: optional(text),
  sessionId: optional(text),
  detail: json(isDetail),
});
export const KEYSTROKES = new Table<KeystrokeRow>('keystrokes', {
  sessionId: text,
  channel: integer,
  at: integer,
  kind: oneOf(KINDS),
  text,
});
