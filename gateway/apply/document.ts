/** The YAML that `apply` takes. As with the configuration, the schema checks and nothing more. */
import { z } from 'zod';
import { ConfigurationError, explain, group, keysOf, wants } from '../config/problems.ts';
import { DURATION_PATTERN, parseDuration, parseRetention, parseSize } from '../config/units.ts';
import { parseYaml } from '../config/yaml.ts';
import { CAPABILITIES, PROTOCOLS } from '../policy/capability.ts';
import { ROLES } from '../store/port.ts';
import { DAY_NAMES, isTimeZone, parseDate, parseDay, parseTimeOfDay } from './times.ts';

const oneOf = <const T extends readonly string[]>(words: T) =>
  z.enum(words, wants(`one of ${words.join(', ')}`));
const texts = (what: string) =>
  z.array(z.string(wants(what)).min(1, wants(what)), wants(`a list, each ${what}`));
const flag = z.boolean(wants('true or false'));

// What a login can carry: no control characters, 128 UTF-16 units at most.
const NAME =
  'a name of 1 to 128 characters without control characters or spaces at its ends (numbers in quotes)';
const name = z
  .string(wants(NAME))
  .regex(/^(?!\s)[^\p{Cc}\p{Cs}\u2028\u2029]{1,128}(?<!\s)$/u, wants(NAME))
  .describe('Unique; a second apply changes the row of this name');

const SECRET = 'text, "env:NAME" or "file:PATH" (numbers in quotes)';
const secret = z
  .string(wants(SECRET))
  .min(1, wants(SECRET))
  .max(64 * 1024, wants('at most 64 KiB'));
const SECRET_OR_NONE = `${SECRET}, or false for none`;
const secretOrNone = z.union([secret, z.literal(false)], wants(SECRET_OR_NONE));

const DURATION = 'a duration such as 8h, 15m or 1h30m';
const duration = z
  .string(wants(DURATION))
  .regex(DURATION_PATTERN, wants(DURATION))
  .refine((value) => parseDuration(value) !== undefined, wants(DURATION));
const RETENTION = 'a duration such as 90d, or forever';
const SIZE = 'a size such as "16MiB", or full';
const TIME = 'a time of day such as "08:00"';
const time = z.string(wants(TIME)).refine((value) => parseTimeOfDay(value) !== undefined, wants(TIME));
const DATE = 'a date such as 2026-12-31 or 2026-12-31T18:00:00Z';
const date = z.string(wants(DATE)).refine((value) => parseDate(value, 'start') !== undefined, wants(DATE));
const DAY = `one of ${DAY_NAMES.join(', ')}`;
const ZONE = 'an IANA time zone such as Europe/Zurich';
const PORT = 'a port from 1 to 65535';
const HOST = 'a host name or address';
const CERTIFICATE = '"sha256:" and 64 hex digits, ca or trust-on-first-use';
const COUNT = 'a whole number from 1 up';
const TARGET = '"account@system", each with * and ? as wildcards';

const user = group({
  name,
  role: oneOf(ROLES).default('requester'),
  password: secretOrNone.optional().describe('Left out: stays as it is. false: no log-on with a password'),
  sshKeys: texts('an OpenSSH public key line').default([]).describe('Keys that log on'),
  totp: secretOrNone.optional().describe('Base32 secret of one-time codes. Left out: stays as it is'),
  nla: flag
    .default(false)
    .describe(
      'true: may log on to desktops with NLA, for which an NT hash of the password is kept, sealed; wants the password',
    ),
  disabled: flag.default(false).describe('true: cannot log on'),
});

const SYSTEM_NAME = 'a name without @, which parts account and system';
const system = group({
  name: name.refine((value) => !value.includes('@'), wants(SYSTEM_NAME)),
  protocol: oneOf(PROTOCOLS).default('ssh'),
  host: z.string(wants(HOST)).regex(/^[^\s\p{Cc}@/]{1,255}$/u, wants(HOST)),
  port: z
    .int(wants(PORT))
    .min(1, wants(PORT))
    .max(65_535, wants(PORT))
    .optional()
    .describe('Default: 22, or 3389 for rdp'),
  hostKey: z
    .string(wants('an OpenSSH public key line, or trust-on-first-use'))
    .optional()
    .describe('Left out: no connection is made, because nothing tells whether it is the right host'),
  certificate: z
    .string(wants(CERTIFICATE))
    .regex(/^(sha256:[0-9a-fA-F]{64}|trust-on-first-use|ca)$/, wants(CERTIFICATE))
    .optional(),
  legacyAlgorithms: flag.default(false).describe('Offer outdated SSH algorithms to this system'),
  maxSessions: z
    .int(wants(COUNT))
    .min(1, wants(COUNT))
    .optional()
    .describe('Open sessions that it bears, of all people and over all nodes. Default: capacity.perSystem'),
});

const account = group({
  name,
  system: name.describe('Name of the system that it belongs to'),
  password: secret.optional(),
  privateKey: secret.optional().describe('OpenSSH or PEM text'),
  passphrase: secret.optional().describe('Opens the private key'),
});

const schedule = group({
  days: z
    .array(
      z.string(wants(DAY)).refine((value) => parseDay(value) !== undefined, wants(DAY)),
      wants('a list of days'),
    )
    .default([])
    .describe('Days on which the window begins. Default: every day'),
  from: time.default('00:00'),
  to: time.default('24:00').describe('Not later than `from`: the next day'),
  timeZone: z.string(wants(ZONE)).refine(isTimeZone, wants(ZONE)).optional().describe("Default: the node's"),
});

const policy = group({
  name,
  users: texts('a user name with * and ? as wildcards'),
  accounts: z.array(
    z.string(wants(TARGET)).refine((value) => value === '*' || /^.+@.+$/s.test(value), wants(TARGET)),
    wants(`a list, each ${TARGET}`),
  ),
  allow: z.array(oneOf(CAPABILITIES), wants('a list of what sessions may do')),
  record: flag.default(true),
  keystrokes: flag.default(true),
  maskKeystrokes: flag
    .default(false)
    .describe('On desktops, which do not show whether a password is typed: keep only the names of keys'),
  reasonRequired: flag.default(false).describe('A person must say why'),
  maxSessions: z.int(wants(COUNT)).min(1, wants(COUNT)).optional().describe('Open sessions of one person'),
  maxDuration: duration.optional(),
  idleTimeout: duration.optional(),
  schedule: z.array(schedule, wants('a list of windows')).default([]).describe('Default: always'),
  notBefore: date.optional(),
  notAfter: date.optional().describe('A date alone: the policy holds through that day'),
  execLimit: z
    .union([z.number(), z.string()], wants(SIZE))
    .refine((value) => value === 'full' || parseSize(value) !== undefined, wants(SIZE))
    .default('16MiB')
    .describe(
      'What a recording keeps of each stream (input, output, standard error) of a command without a terminal',
    ),
  retention: z
    .string(wants(RETENTION))
    .refine((value) => parseRetention(value) !== undefined, wants(RETENTION))
    .optional()
    .describe(
      'How long recordings are kept at least, from the end of the session. Default: archive.retention',
    ),
});

const LIST = 'wants a list';
export const documentSchema = group({
  users: z.array(user, LIST).default([]),
  systems: z.array(system, LIST).default([]),
  accounts: z.array(account, LIST).default([]),
  policies: z.array(policy, LIST).default([]),
});

export type Declaration = z.output<typeof documentSchema>;
export type DeclaredUser = Declaration['users'][number];
export type DeclaredSystem = Declaration['systems'][number];
export type DeclaredAccount = Declaration['accounts'][number];
export type DeclaredPolicy = Declaration['policies'][number];

/** JSON Schema (draft 2020-12) of the document, for editors. */
export function documentJsonSchema(): object {
  return { title: 'sallyport apply', ...z.toJSONSchema(documentSchema, { io: 'input' }) };
}

/** Values at these keys are shown in errors; any other may be, or hold, a secret. */
const SHOWN =
  /\.(name|role|disabled|protocol|host|port|certificate|legacyAlgorithms|system|record|keystrokes|maskKeystrokes|reasonRequired|maxSessions|maxDuration|idleTimeout|notBefore|notAfter|execLimit|retention|from|to|timeZone|(users|accounts|allow|days)\[\d+\])$/;

/**
 * Parses and checks the text.
 *
 * @param source file name for errors
 * @throws ConfigurationError with one line per problem, by path; never shows a secret
 */
export function parseDocument(text: string, source: string): Declaration {
  const data = parseYaml(text, source);
  const checked = documentSchema.safeParse(data);
  if (checked.success) return checked.data;
  const known = keysOf(documentJsonSchema());
  throw new ConfigurationError(
    source,
    explain(checked.error.issues, data, known, (path) => !SHOWN.test(path)),
  );
}
