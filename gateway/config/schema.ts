/**
 * Every key of `sallyport.yaml`. The schema only checks; `config.ts` resolves. It has no
 * transforms, so that the JSON Schema made from it describes what people write.
 */
import { availableParallelism } from 'node:os';
import { Encrypter } from 'age-encryption';
import { z } from 'zod';
import { parseCidr, parseEndpoint } from './address.ts';
import { group, wants } from './problems.ts';
import { parseRetention, parseSize } from './units.ts';

const text = (what: string) => z.string(wants(what)).min(1, wants(what));
const count = (min: number, max: number, what = 'a whole number') =>
  z
    .int(wants(`${what} from ${min} to ${max}`))
    .min(min, wants(`${what} from ${min} to ${max}`))
    .max(max, wants(`${what} from ${min} to ${max}`));

const ENDPOINT = '"host:port", "[ipv6]:port" or a port from 0 to 65535';
const endpoint = z
  .union([z.string(), z.number()], wants(ENDPOINT))
  .refine((value) => parseEndpoint(value) !== undefined, wants(ENDPOINT));

/** For listeners that a node can do without. */
const OFF = 'off';
const ENDPOINT_OR_OFF = `${ENDPOINT}, or off`;
const optionalEndpoint = z
  .union([z.string(), z.number()], wants(ENDPOINT_OR_OFF))
  .refine((value) => value === OFF || parseEndpoint(value) !== undefined, wants(ENDPOINT_OR_OFF));

const ADDRESS = '"host:port"';
/** `rdp.nla` */
export const NLA_MODES = ['auto', 'preferred', 'never'] as const;
export type NlaMode = (typeof NLA_MODES)[number];
const CIDRS = 'an address range such as 10.0.0.0/8 or fd00::/8';
const SIZE = 'a size such as 4194304 or "4MiB", from 1 MiB to 1 GiB';
const NODE_SIZE = 'a size such as "512MiB", from 16 MiB to 1024 GiB';
/** `archive.onFailure` */
export const ON_FAILURE = ['pause', 'terminate', 'spool'] as const;
export type OnFailure = (typeof ON_FAILURE)[number];
const ARCHIVE = '"file:FOLDER" or "s3://BUCKET/PREFIX?endpoint=https://HOST:PORT"';
const ARCHIVES = `${ARCHIVE}, or a list of them`;
const archiveUrl = text(ARCHIVE).regex(/^(file:.+|s3:\/\/[^/?]+.*)$/, wants(ARCHIVE));
const SECRET = 'text, "env:NAME" or "file:PATH" (numbers in quotes)';
const STORE = '"sqlite:FILE"';
const KEY = '"file:PATH" or "env:NAME"';
const RETENTION = 'a duration such as 90d, or forever';
const RECIPIENT = 'an age recipient ("age1…")';
const nodeSize = z
  .union([z.number(), z.string()], wants(NODE_SIZE))
  .refine((value) => inRange(parseSize(value), 16 * 1024 ** 2, 1024 ** 4), wants(NODE_SIZE));

export const configSchema = group({
  node: group({
    name: text('a name of this node')
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, wants('letters, digits, dots and hyphens, at most 63'))
      .optional()
      .describe('Name of this node in sessions, audit and peers. Default: the host name'),
    dataDir: text('a folder')
      .default('./sallyport-data')
      .describe('Folder for keys, and for the database and archive unless they are elsewhere'),
    leaseSeconds: count(2, 600, 'seconds')
      .default(15)
      .describe(
        'How long a node that does not reach the store goes on; peers that have not seen it for somewhat ' +
          'longer end its sessions and seal their recordings',
      ),
    demo: z
      .boolean(wants('true or false'))
      .default(true)
      .describe('Whether the first run makes a user and a system to try, and this node runs that system'),
  }).optional(),
  listen: group({
    ssh: endpoint.default('0.0.0.0:4422').describe('Where people connect with SSH'),
    rdp: endpoint.default('0.0.0.0:4489').describe('Where people connect with RDP'),
    console: endpoint.default('0.0.0.0:8443').describe('Web console and API, HTTPS (not served yet)'),
    health: optionalEndpoint
      .default('0.0.0.0:8480')
      .describe('/healthz, /readyz and /metrics, plain HTTP without secrets; or off'),
    agentCheck: optionalEndpoint
      .default('0.0.0.0:8481')
      .describe("Answers HAProxy's agent-check with the state and the free capacity of this node; or off"),
    proxyProtocol: group({
      from: z
        .array(
          z.string(wants(CIDRS)).refine((value) => parseCidr(value) !== undefined, wants(CIDRS)),
          {
            error: `wants a list of address ranges`,
          },
        )
        .default([])
        .describe('Address ranges of load balancers whose PROXY protocol v1/v2 header is trusted'),
    }).optional(),
  }).optional(),
  workers: group({
    sessions: count(1, 256)
      .optional()
      .describe(`Session workers. Default: one per core (${'`nproc`'}), but two at least`),
    processes: count(1, 64)
      .default(1)
      .describe(
        'Processes that the session workers are spread over, evenly (workers.sessions is rounded up). 1: they ' +
          'are threads of the main process. With more, a crash in native code ends the sessions of its process ' +
          'alone',
      ),
  }).optional(),
  capacity: group({
    maxSessions: count(1, 100_000).default(600).describe('Sessions that this node takes at the same time'),
    perUser: count(1, 100_000)
      .optional()
      .describe('Open sessions of one person, over all nodes. Default: what policies say'),
    perSource: count(1, 100_000)
      .optional()
      .describe(
        'Open sessions from one client address (IPv6: /64), over all nodes; a whole office may share one. ' +
          'Default: no limit',
      ),
    perSystem: count(1, 100_000)
      .optional()
      .describe(
        'Open sessions on one system, over all nodes; its own maxSessions (`apply`) goes before. Default: no limit',
      ),
    maxMemory: nodeSize
      .optional()
      .describe(
        'Resident memory of this node at which it refuses new sessions until running ones have ended. ' +
          'Default: 80 % of what the machine or its control group has',
      ),
  }).optional(),
  drain: group({
    seconds: count(0, 86_400, 'seconds')
      .default(60)
      .describe(
        'How long running sessions may go on once this node is told to stop (SIGTERM) or to drain, unless ' +
          '`node drain --for` says otherwise; the service manager must wait longer than this, ' +
          'drain.graceSeconds and archive.graceSeconds together',
      ),
    graceSeconds: count(0, 600, 'seconds')
      .default(10)
      .describe(
        'How long a node that drains still takes new sessions, so that load balancers see first that it drains; ' +
          'none where nobody asked for its health in the last minute',
      ),
  }).optional(),
  store: group({
    url: text(STORE)
      .regex(/^(sqlite:.+|mssql:\/\/.+|postgres(ql)?:\/\/.+)$/, wants(STORE))
      .optional()
      .describe('Database of the cluster. Default: sqlite:<dataDir>/sallyport.db'),
  }).optional(),
  vault: group({
    masterKey: text(KEY)
      .regex(/^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$/, wants(KEY))
      .optional()
      .describe('32-byte key that seals secrets in the database. Default: file:<dataDir>/keys/master.key'),
  }).optional(),
  archive: group({
    url: z
      .union([archiveUrl, z.array(archiveUrl).min(1).max(4)], wants(ARCHIVES))
      .optional()
      .describe('Where recordings go; of a list, to each. Default: file:<dataDir>/archive'),
    credentials: group({
      accessKeyId: text(SECRET).describe('Who writes: text, env:NAME or file:PATH'),
      secretAccessKey: text(SECRET).describe('Its secret: text, env:NAME or file:PATH'),
    })
      .optional()
      .describe('Of the S3 archive. Default: what the environment has (AWS_ACCESS_KEY_ID …)'),
    window: group({
      bytes: z
        .union([z.number(), z.string()], wants(SIZE))
        .refine((value) => inRange(parseSize(value), 1024 ** 2, 1024 ** 3), wants(SIZE))
        .default('4MiB')
        .describe('Bytes of one recording that the archive may not have acknowledged yet'),
      ms: count(50, 60_000, 'milliseconds')
        .default(1000)
        .describe('Age in milliseconds of the oldest byte that the archive may not have acknowledged yet'),
      nodeBytes: nodeSize
        .default('512MiB')
        .describe(
          'Memory of all recordings of this node together, divided by its session workers (4 MiB each at ' +
            'least); when it runs short, the sessions that hold most of it are paused first',
        ),
    }).optional(),
    graceSeconds: count(0, 3600, 'seconds')
      .default(30)
      .describe('How long a session waits for the archive, paused, before it is ended'),
    onFailure: z
      .enum(ON_FAILURE, wants(`one of ${ON_FAILURE.join(', ')}`))
      .default('pause')
      .describe(
        'What happens to sessions when the archive fails. pause: they wait, for graceSeconds. terminate: they ' +
          'end at once. spool: they go on, into an encrypted spool on this node that drains when the archive ' +
          'is back; until then this node keeps recordings',
      ),
    spool: group({
      bytes: nodeSize.default('1GiB').describe('Size of the spool, over all recordings of this node'),
    }).optional(),
    recipients: z
      .array(z.string(wants(RECIPIENT)).refine(isRecipient, wants(RECIPIENT)), {
        error: 'wants a list of age recipients',
      })
      .default([])
      .describe('age recipients that can read recordings. Default: the identity that first run makes'),
    retention: z
      .string(wants(RETENTION))
      .refine((value) => parseRetention(value) !== undefined, wants(RETENTION))
      .optional()
      .describe(
        'How long recordings are kept whose policy does not say: what older ones `recordings prune` deletes. ' +
          'Default: forever',
      ),
  }).optional(),
  ssh: group({
    banner: z
      .string(wants('text'))
      .max(4096, wants('text of at most 4096 characters'))
      .optional()
      .describe(
        'Text that people see before log-on: SSH clients show it (RFC 4252 §5.4), RDP has it on the logon screen',
      ),
    loginGraceSeconds: count(1, 3600, 'seconds')
      .default(30)
      .describe('Time to authenticate, with SSH or RDP, before the connection is closed'),
    connectTimeoutSeconds: count(1, 600, 'seconds')
      .default(10)
      .describe('Time for a target, SSH or RDP, to accept the connection and the log-on'),
    maxChannels: count(1, 65_536).default(512).describe('Open channels on one SSH connection'),
  }).optional(),
  rdp: group({
    address: text(ADDRESS)
      .regex(/^[^:].*:\d+$/, wants(ADDRESS))
      .refine((value) => (parseEndpoint(value)?.port ?? 0) > 0, wants(ADDRESS))
      .optional()
      .describe('Where .rdp files send people. Default: the host name with the port of listen.rdp'),
    nla: z
      .enum(NLA_MODES, wants(`one of ${NLA_MODES.join(', ')}`))
      .default('auto')
      .describe(
        'Which clients that offer NLA log on with it. auto: those of users with nla: true, or with a launch ' +
          'credential open; told by the name in the first message (Windows sends nine characters of it), so ' +
          'others can find out who these are. preferred: all; of others, only clients that offer TLS alone ' +
          'get in. never: none',
      ),
  }).optional(),
  log: group({
    level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
        error: 'wants one of trace, debug, info, warn, error, silent',
      })
      .default('info')
      .describe('Least severe log lines that are written'),
  }).optional(),
});

/** The file as people write it, defaults filled in for the sections that are there. */
export type ConfigFile = z.output<typeof configSchema>;

/**
 * Workers when the file does not say: one per core that this process may use, and another one that keeps the
 * port open while one is replaced.
 */
export const defaultWorkers = (): number => Math.max(2, availableParallelism());

function inRange(value: number | undefined, min: number, max: number): boolean {
  return value !== undefined && value >= min && value <= max;
}

/** Spelt right, checksum included. */
function isRecipient(value: string): boolean {
  try {
    new Encrypter().addRecipient(value);
    return true;
  } catch {
    return false;
  }
}
