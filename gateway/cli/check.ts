/** `sallyport check`: is everything reachable and well configured? */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { openArchives, spooledBytes, spooledSessions } from '../../recorder/index.ts';
import { crashFolder, crashReports } from '../../workers/crash-report.ts';
import { notMadeYet, openNode } from '../bootstrap/bootstrap.ts';
import { archiveSettings } from '../config/archive.ts';
import type { Config } from '../config/config.ts';
import type { Report } from '../health/report.ts';
import { probeDesktop } from '../rdp/back/probe.ts';
import { readHostKey } from '../ssh/host-key.ts';
import type { Store, SystemRow } from '../store/port.ts';
import { configOf, withCommon } from './common.ts';
import { printList } from './output.ts';

interface Finding {
  readonly id: string;
  readonly state: 'ok' | 'advice' | 'problem';
  readonly text: string;
}

/** Systems asked at once: a check of a thousand must not take an hour, nor look like a scan. */
const AT_ONCE = 16;

export function addCheck(program: Command): void {
  withCommon(
    program.command('check').description('check configuration, store, vault, archive and every system'),
  ).action(async (options: { config?: string; json?: boolean }) => {
    const config = configOf(options.config);
    const findings: Finding[] = [
      { id: 'configuration', state: 'ok', text: config.file ?? 'defaults, there is no sallyport.yaml' },
    ];
    // A check only looks: what is to be made, `serve` makes.
    const missing = notMadeYet(config);
    findings.push(
      missing.archive ? toBeMade('archive', config.archive.urls.join(', ')) : await checkArchive(config),
      ...(await checkSpool(config)),
      ...(await checkCrashes(config)),
      missing.identity ? toBeMade('archive identity', 'it') : checkIdentity(config),
      await checkHealth(config),
      ...(missing.store ? [toBeMade('store and vault', config.store.url)] : await checkStore(config)),
    );
    printList(
      findings,
      [
        { title: 'CHECK', value: (row) => row.id },
        { title: 'STATE', value: (row) => row.state },
        { title: '', value: (row) => row.text },
      ],
      { json: options.json, empty: '' },
    );
    if (findings.some((finding) => finding.state === 'problem')) process.exitCode = 1;
  });
}

const toBeMade = (id: string, what: string): Finding => ({
  id,
  state: 'advice',
  text: `${what} is made by the first \`serve\``,
});

async function checkArchive(config: Config): Promise<Finding> {
  return await finding('archive', async () => {
    const archive = openArchives(archiveSettings(config));
    await archive.check();
    return `${archive.description} takes recordings`;
  });
}

async function checkSpool({ archive }: Config): Promise<readonly Finding[]> {
  const { folder } = archive.spool;
  const recordings = (await spooledSessions(folder)).length;
  if (recordings > 0)
    return [
      {
        id: 'spool',
        state: 'advice',
        text:
          `${await spooledBytes(folder)} encrypted bytes of ${recordings} recordings are in ${folder}: ` +
          'this node keeps them until the archive takes them',
      },
    ];
  if (archive.onFailure !== 'spool') return [];
  return [
    {
      id: 'spool',
      state: 'ok',
      text: `${folder} is empty; while the archive fails, this node keeps recordings there (archive.onFailure)`,
    },
  ];
}

/** How long a crash is worth telling. */
const RECENT_DAYS = 7;

async function checkCrashes({ node }: Config): Promise<readonly Finding[]> {
  const since = Date.now() - RECENT_DAYS * 86_400_000;
  const recent = (await crashReports(crashFolder(node.dataDir))).filter(({ at }) => at >= since);
  const [last] = recent;
  if (last === undefined) return [];
  const text =
    `session workers died in the last ${RECENT_DAYS} days, with the sessions that they had: ` +
    `${recent.length} reports, the last one ${last.path}`;
  return [{ id: 'crashes', state: 'advice', text }];
}

/** How long a node that runs may take to say how it is. */
const HEALTH_MS = 3_000;

/** What load balancers hear of this node. */
async function checkHealth({ listen, node }: Config): Promise<Finding> {
  const id = 'health';
  if (listen.health === undefined)
    return {
      id,
      state: 'ok',
      text: 'off (listen.health): load balancers see only whether the ports are open',
    };
  const { host, port } = listen.health;
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const url = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}/readyz`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MS) })
    .then((response) => response.json() as Promise<Partial<Report>>)
    .catch(() => undefined);
  if (answer === undefined)
    return { id, state: 'advice', text: `nothing answers at ${url}: this node does not run` };
  if (answer.node !== node.name)
    return { id, state: 'problem', text: `${url} is answered by another program, or by node ${answer.node}` };
  if (answer.ready === true) return { id, state: 'ok', text: `${url}: ready` };
  const why = (answer.reasons ?? []).map(({ code, message }) => `${code} (${message})`).join(', ');
  return { id, state: 'advice', text: `${url}: load balancers are told to send nobody: ${why}` };
}

function checkIdentity({ node }: Config): Finding {
  const path = join(node.dataDir, 'keys', 'archive.identity');
  return existsSync(path)
    ? {
        id: 'archive identity',
        state: 'advice',
        text: `${path} opens every recording: move it off this node, then only its holder can read them`,
      }
    : { id: 'archive identity', state: 'ok', text: 'not on this node' };
}

async function checkStore(config: Config): Promise<readonly Finding[]> {
  let store: Store | undefined;
  const opened = await finding('store and vault', async () => {
    ({ store } = await openNode(config));
    return `${config.store.url}, the master key fits`;
  });
  if (store === undefined) return [opened];
  const systems = [...(await store.systems())].sort((a, b) => a.name.localeCompare(b.name));
  const findings: Finding[] = [opened];
  for (let at = 0; at < systems.length; at += AT_ONCE)
    findings.push(
      ...(await Promise.all(systems.slice(at, at + AT_ONCE).map((row) => checkSystem(row, config)))),
    );
  await store.close();
  return findings;
}

async function checkSystem(system: SystemRow, config: Config): Promise<Finding> {
  return await finding(`system ${system.name}`, async () => {
    if (system.protocol === 'rdp') return await checkDesktop(system, config);
    const pinned = system.hostKey === 'trust-on-first-use' ? system.pinned : system.hostKey;
    const shown = await readHostKey({
      host: system.host,
      port: system.port,
      timeoutMs: config.ssh.connectTimeoutSeconds * 1000,
      type: pinned?.split(' ')[0],
      legacyAlgorithms: system.legacyAlgorithms,
    });
    const where = `${system.host}:${system.port}`;
    if (pinned === undefined && system.hostKey === undefined)
      throw new Error(
        `${where} shows ${shown}: no hostKey is declared, so nobody can connect: ` +
          'declare `hostKey` (the one shown) or trust-on-first-use',
      );
    if (pinned === undefined) return `${where} is reachable, its host key will be pinned on first use`;
    if (shown !== pinned.split(' ').slice(0, 2).join(' '))
      throw new Error(`${where} shows another host key than the pinned one: ${shown}`);
    return `${where} is reachable and shows the pinned host key`;
  });
}

async function checkDesktop(system: SystemRow, config: Config): Promise<string> {
  const { host, port, certificate: declared } = system;
  const identity = declared === 'trust-on-first-use' ? system.pinned : declared;
  const timeoutMs = config.ssh.connectTimeoutSeconds * 1000;
  const { certificate, wrong } = await probeDesktop({ host, port, timeoutMs, identity }).catch(
    (error: Error) => {
      throw new Error(`${host}:${port} cannot be reached: ${error.message}`);
    },
  );
  const where = `${host}:${port}`;
  if (declared === undefined)
    throw new Error(
      `${where} shows ${certificate}: no certificate is declared, so nobody can connect: ` +
        'declare `certificate: sha256:…` (the one shown) or trust-on-first-use',
    );
  if (wrong !== undefined)
    throw new Error(
      `${where} shows ${certificate}${identity?.startsWith('sha256:') ? `, not the pinned ${identity}` : `: ${wrong}`}`,
    );
  if (identity === undefined) return `${where} is reachable, its certificate will be pinned on first use`;
  return `${where} is reachable and shows the ${identity === 'ca' ? 'right' : 'pinned'} certificate`;
}

async function finding(id: string, check: () => Promise<string>): Promise<Finding> {
  try {
    return { id, state: 'ok', text: await check() };
  } catch (error) {
    return { id, state: 'problem', text: error instanceof Error ? error.message : String(error) };
  }
}
