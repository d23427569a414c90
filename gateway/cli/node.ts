/** `sallyport node`: the nodes of the cluster, and taking one out of service and back. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { parseDuration } from '../config/units.ts';
import type { NODE_VERBS, NodeRow, Store } from '../store/port.ts';
import { configOf, openStore, withCommon } from './common.ts';
import { order } from './order.ts';
import { durationText, printJson, printList, timeText, UsageError } from './output.ts';

interface NodeOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly name?: string;
}

interface DrainOptions extends NodeOptions {
  readonly for?: string;
  readonly stop?: boolean;
  readonly wait?: boolean;
}

const NAME = 'name of the node (default: the one of the configuration)';
const OPEN = ['opening', 'active', 'locked'] as const;
/** Of one node at most. */
const MANY_SESSIONS = 10_000;
const WAIT_MS = 500;

export function addNode(program: Command): void {
  const nodes = program.command('node').description('list nodes, take one out of service and back');

  withCommon(nodes.command('ls').description('list nodes with their standing and sessions')).action(
    async (options: NodeOptions) => {
      await using store = await openStore(options.config);
      const rows = await Promise.all((await store.nodes()).map((row) => listed(store, row)));
      printList(
        rows,
        [
          { title: 'NODE', value: (row) => row.name },
          { title: 'STANDING', value: (row) => row.standing },
          { title: 'SESSIONS', value: (row) => row.sessions, align: 'right' },
          { title: 'STARTED', value: (row) => timeText(row.startedAt) },
          { title: 'SEEN', value: (row) => `${durationText(Date.now() - row.seenAt)} ago` },
        ],
        { json: options.json, empty: 'no node runs' },
      );
    },
  );

  withCommon(
    nodes
      .command('drain')
      .description(
        'open no new sessions, tell people, and end what is left; then out of service until resume',
      )
      .option('--name <node>', NAME)
      .option('--for <duration>', 'what running sessions still have, such as 10m (default: drain.seconds)')
      .option('--stop', 'end the process of the node when it has drained')
      .option('--wait', 'return when no session is left'),
  ).action(async (options: DrainOptions) => {
    const limitMs = limitOf(options.for);
    await using store = await openStore(options.config);
    const node = await runningNode(store, options);
    const verb = options.stop === true ? 'stop' : 'drain';
    await ordered(store, node, verb, limitMs);
    if (options.wait === true) await drained(store, node, verb);
    await tell(store, node, options);
  });

  withCommon(
    nodes
      .command('resume')
      .description('open sessions again on a node that drains or has drained')
      .option('--name <node>', NAME),
  ).action(async (options: NodeOptions) => {
    await using store = await openStore(options.config);
    const node = await runningNode(store, options);
    await ordered(store, node, 'resume');
    await tell(store, node, options);
  });
}

/** A node as it is listed. */
interface Listed {
  /** Of its run. */
  readonly id: string;
  readonly name: string;
  /** `ready`, codes of `/readyz` with commas between, or `lost`. */
  readonly standing: string;
  readonly sessions: number;
  readonly startedAt: number;
  /** When it said so, by its own clock. */
  readonly seenAt: number;
}

async function listed(store: Store, row: NodeRow): Promise<Listed> {
  const { id, name, state, standing, standingAt, startedAt } = row;
  const open = await store.sessions({ state: OPEN, run: id }, { limit: MANY_SESSIONS });
  return {
    id,
    name,
    standing: state === 'lost' ? 'lost' : standing,
    sessions: open.length,
    startedAt,
    seenAt: standingAt,
  };
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const limit = text === '0' ? 0 : parseDuration(text);
  if (limit === undefined) throw new UsageError(`--for: wants a duration such as 10m or 90s, not ${text}`);
  return limit;
}

async function runningNode(store: Store, options: NodeOptions): Promise<NodeRow> {
  const name = options.name ?? configOf(options.config).node.name;
  const running = (await store.nodes()).filter(({ state }) => state === 'running');
  const node = running.find((row) => row.name === name);
  if (node !== undefined) return node;
  const names = running.map((row) => row.name).join(', ');
  throw new UsageError(`no node ${name} runs${names === '' ? '' : `: --name may be one of ${names}`}`);
}

async function ordered(
  store: Store,
  { id, name }: NodeRow,
  verb: (typeof NODE_VERBS)[number],
  limitMs?: number,
): Promise<void> {
  const result = await order(store, { node: name, subject: id, verb, limitMs });
  if (result !== 'ok') throw new UsageError(`cannot ${verb} node ${name}: ${result}`);
}

/** Resolves when the node says that it has drained, or is gone as it should. */
async function drained(store: Store, { id, name }: NodeRow, verb: 'drain' | 'stop'): Promise<void> {
  let draining = false;
  for (;;) {
    const row = await store.node(id);
    if (row?.state !== 'running') return;
    const codes = row.standing.split(',');
    if (verb === 'drain' && codes.includes('maintenance')) return;
    if (draining && !codes.includes('draining')) throw new UsageError(`node ${name} was resumed meanwhile`);
    draining ||= codes.includes('draining');
    await sleep(WAIT_MS);
  }
}

/** Says how the node is now. */
async function tell(store: Store, { id, name }: NodeRow, { json }: NodeOptions): Promise<void> {
  const row = await store.node(id);
  const now = row?.state === 'running' ? await listed(store, row) : undefined;
  if (json === true) return printJson(now ?? { id, name, standing: 'stopped', sessions: 0 });
  const standing = now?.standing ?? 'stopped';
  process.stdout.write(`${name}: ${standing}, ${now?.sessions ?? 0} sessions open\n`);
}
