/** The configuration of one node, resolved: every key has its value, every path is absolute. */
import { existsSync, readFileSync } from 'node:fs';
import { hostname, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { ArchiveCredentials } from '../../recorder/index.ts';
import type { Retention } from '../policy/retention.ts';
import { type Endpoint, parseCidr, parseEndpoint } from './address.ts';
import { ConfigurationError, explain, keysOf } from './problems.ts';
import { type ConfigFile, configSchema, defaultWorkers, type NlaMode, type OnFailure } from './schema.ts';
import { parseRetention, parseSize } from './units.ts';
import { parseYaml } from './yaml.ts';

export type { Endpoint } from './address.ts';
export { ConfigurationError } from './problems.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Where the master key is read from. */
export type KeySource =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string };

export interface Config {
  /** Absolute path of the file that was read; undefined: defaults only. */
  readonly file: string | undefined;
  /** `demo`: the first run makes a demonstration, and this node runs its target. */
  readonly node: {
    readonly name: string;
    readonly dataDir: string;
    readonly leaseSeconds: number;
    readonly demo: boolean;
  };
  readonly listen: {
    readonly ssh: Endpoint;
    readonly rdp: Endpoint;
    readonly console: Endpoint;
    /** Undefined: off. */
    readonly health: Endpoint | undefined;
    readonly agentCheck: Endpoint | undefined;
    /** `from`: canonical CIDRs (`10.0.0.0/8`, `fd00::/8`). */
    readonly proxyProtocol: { readonly from: readonly string[] };
  };
  /** `sessions`: a multiple of `processes`. */
  readonly workers: { readonly sessions: number; readonly processes: number };
  /** Sessions: `maxSessions` on this node, the others over all nodes. `maxMemory`: bytes. */
  readonly capacity: {
    readonly maxSessions: number;
    readonly perUser: number | undefined;
    readonly perSource: number | undefined;
    readonly perSystem: number | undefined;
    readonly maxMemory: number;
  };
  readonly drain: { readonly seconds: number; readonly graceSeconds: number };
  /** `sqlite:` is followed by an absolute path. */
  readonly store: { readonly url: string };
  readonly vault: { readonly masterKey: KeySource };
  readonly archive: {
    /** At least one; `file:` is followed by an absolute path. */
    readonly urls: readonly string[];
    /** As given: texts, `env:NAME` or `file:PATH`. */
    readonly credentials: ArchiveCredentials | undefined;
    /** `nodeBytes`: memory of all session workers together. */
    readonly window: { readonly bytes: number; readonly ms: number; readonly nodeBytes: number };
    readonly graceSeconds: number;
    readonly onFailure: OnFailure;
    /** `folder`: absolute; there only while the spool is in use. */
    readonly spool: { readonly folder: string; readonly bytes: number };
    /** age recipients; empty: the recipient of the identity in keys/archive.identity. */
    readonly recipients: readonly string[];
    /** Undefined: nobody said, so recordings are kept for ever unless their policy says. */
    readonly retention: Retention | undefined;
  };
  readonly ssh: {
    readonly banner: string | undefined;
    readonly loginGraceSeconds: number;
    readonly connectTimeoutSeconds: number;
    readonly maxChannels: number;
  };
  readonly rdp: { readonly address: Endpoint; readonly nla: NlaMode };
  readonly log: { readonly level: LogLevel };
}

/** The file's name when `--config` does not give one, in the current folder. */
export const DEFAULT_FILE = 'sallyport.yaml';

/**
 * Reads and resolves the configuration.
 *
 * @param options.file what `--config` names; without it `./sallyport.yaml` if it is there,
 *   else the defaults
 * @throws ConfigurationError naming the key, what was given and what is wanted
 */
export function loadConfig(options: { readonly file?: string | undefined } = {}): Config {
  const file = resolve(options.file ?? DEFAULT_FILE);
  if (options.file === undefined && !existsSync(file)) return parseConfig('', undefined);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why =
      code === 'ENOENT' ? 'no such file; give --config an existing one' : `cannot be read (${code})`;
    throw new ConfigurationError(file, [why], { cause: error });
  }
  return parseConfig(text, file);
}

/** Resolves configuration text; relative paths start at `file`'s folder, or here without one. */
export function parseConfig(text: string, file: string | undefined): Config {
  const source = file ?? DEFAULT_FILE;
  const data = parseYaml(text, source);
  const checked = configSchema.safeParse(data);
  if (!checked.success) {
    throw new ConfigurationError(source, explain(checked.error.issues, data, keysOf(configJsonSchema())));
  }
  return resolved(checked.data, file);
}

/** JSON Schema (draft 2020-12) of `sallyport.yaml`, for editors. */
export function configJsonSchema(): object {
  return { title: 'sallyport.yaml', ...z.toJSONSchema(configSchema, { io: 'input' }) };
}

function resolved(given: ConfigFile, file: string | undefined): Config {
  // An absent section has the defaults of its keys.
  const shape = configSchema.shape;
  const node = given.node ?? shape.node.unwrap().parse({});
  const listen = given.listen ?? shape.listen.unwrap().parse({});
  const archive = given.archive ?? shape.archive.unwrap().parse({});
  const window = archive.window ?? shape.archive.unwrap().shape.window.unwrap().parse({});
  const spool = archive.spool ?? shape.archive.unwrap().shape.spool.unwrap().parse({});
  const rdp = given.rdp ?? shape.rdp.unwrap().parse({});
  const ssh = given.ssh ?? shape.ssh.unwrap().parse({});
  const capacity = given.capacity ?? shape.capacity.unwrap().parse({});

  const base = file === undefined ? process.cwd() : dirname(file);
  const dataDir = resolve(base, node.dataDir);
  return {
    file,
    node: { ...node, name: node.name ?? hostname(), dataDir },
    listen: {
      ssh: endpointOf(listen.ssh),
      rdp: endpointOf(listen.rdp),
      console: endpointOf(listen.console),
      health: listen.health === 'off' ? undefined : endpointOf(listen.health),
      agentCheck: listen.agentCheck === 'off' ? undefined : endpointOf(listen.agentCheck),
      proxyProtocol: { from: (listen.proxyProtocol?.from ?? []).flatMap((range) => parseCidr(range) ?? []) },
    },
    workers: workersOf(given.workers),
    capacity: {
      maxSessions: capacity.maxSessions,
      perUser: capacity.perUser,
      perSource: capacity.perSource,
      perSystem: capacity.perSystem,
      maxMemory: capacity.maxMemory === undefined ? defaultMemory() : (parseSize(capacity.maxMemory) ?? 0),
    },
    drain: given.drain ?? shape.drain.unwrap().parse({}),
    store: { url: pathUrl('sqlite:', given.store?.url ?? `sqlite:${join(dataDir, 'sallyport.db')}`, base) },
    vault: { masterKey: keySource(given.vault?.masterKey, base, dataDir) },
    archive: {
      urls: [archive.url ?? `file:${join(dataDir, 'archive')}`]
        .flat()
        .map((url) => pathUrl('file:', url, base)),
      credentials: archive.credentials,
      window: {
        bytes: parseSize(window.bytes) ?? 0,
        ms: window.ms,
        nodeBytes: parseSize(window.nodeBytes) ?? 0,
      },
      graceSeconds: archive.graceSeconds,
      onFailure: archive.onFailure,
      spool: { folder: join(dataDir, 'spool'), bytes: parseSize(spool.bytes) ?? 0 },
      recipients: archive.recipients,
      retention: archive.retention === undefined ? undefined : parseRetention(archive.retention),
    },
    ssh: { ...ssh, banner: ssh.banner },
    rdp: {
      address: endpointOf(rdp.address ?? `${hostname()}:${endpointOf(listen.rdp).port}`),
      nla: rdp.nla,
    },
    log: given.log ?? shape.log.unwrap().parse({}),
  };
}

/** The rest is the operating system's, which caches the archive's files with it. */
function defaultMemory(): number {
  const limit = process.constrainedMemory();
  return Math.floor(0.8 * (limit > 0 ? Math.min(limit, totalmem()) : totalmem()));
}

function workersOf(given: ConfigFile['workers']): Config['workers'] {
  const processes = given?.processes ?? 1;
  const sessions = given?.sessions ?? defaultWorkers();
  return { processes, sessions: Math.ceil(sessions / processes) * processes };
}

/** The schema has checked it. */
function endpointOf(value: string | number): Endpoint {
  const parsed = parseEndpoint(value);
  if (parsed === undefined) throw new TypeError(`not an endpoint: ${value}`);
  return parsed;
}

/** Makes the path behind `scheme` absolute; other URLs stay as they are. */
function pathUrl(scheme: string, url: string, base: string): string {
  if (!url.startsWith(scheme)) return url;
  const rest = url.slice(scheme.length);
  const path = rest.startsWith('///') ? fileURLToPath(`file:${rest}`) : rest;
  return `${scheme}${resolve(base, path)}`;
}

function keySource(given: string | undefined, base: string, dataDir: string): KeySource {
  if (given === undefined) return { from: 'file', path: join(dataDir, 'keys', 'master.key') };
  if (given.startsWith('env:')) return { from: 'env', name: given.slice('env:'.length) };
  return { from: 'file', path: resolve(base, given.slice('file:'.length)) };
}
