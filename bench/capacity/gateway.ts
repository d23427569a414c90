/** The gateway of a run, what it knows, and the orders of those who go through it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { seeded } from '../../test/support/random.ts';
import { type Plan, sessionsOf } from '../people/mix.ts';
import { PASSWORD } from '../rdp/jobs.ts';
import type { Endpoint as Shell } from '../ssh/jobs.ts';
import type { Order, Way } from './jobs.ts';
import type { ShellTarget, Targets } from './targets.ts';

const WORKERS = 2;
/** People have a few sessions each; the passwords of more would only take time to hash. */
const SESSIONS_PER_USER = 10;
const MAX_USERS = 60;
const SYNTHETIC = 'work';

/** Starts a gateway before all targets, for so many sessions at once. */
export async function startCapacityGateway(targets: Targets, sessions: number): Promise<Gateway> {
  const { shells, desktops, sshd, xrdp } = targets;
  const synthetic = readFileSync(targets.keyFile, 'utf8');
  const password = desktops.length > 0 || xrdp !== undefined ? { password: PASSWORD, nla: true } : {};
  const system = (name: string, { port, hostKey }: ShellTarget) => ({
    name,
    protocol: 'ssh',
    host: '127.0.0.1',
    port,
    hostKey,
  });
  const desktop = (name: string, port: number, certificate: string) => ({
    name,
    protocol: 'rdp',
    host: '127.0.0.1',
    port,
    certificate,
  });
  return await startGateway({
    config: {
      workers: { sessions: WORKERS },
      // Some end while others begin.
      capacity: { maxSessions: sessions + Math.ceil(sessions / 10) + 10 },
      rdp: { nla: 'preferred' },
    },
    document: {
      users: usersOf(sessions).map((name) => ({
        name,
        sshKeys: [targets.publicKey],
        role: 'requester',
        ...password,
      })),
      systems: [
        ...shells.map((target, n) => system(`shell${n}`, target)),
        ...desktops.map(({ rdpPort, fingerprint }, n) => desktop(`desktop${n}`, rdpPort, fingerprint)),
        ...(sshd === undefined ? [] : [system('sshd', sshd)]),
        ...(xrdp === undefined ? [] : [desktop('xrdp', xrdp.port, xrdp.fingerprint)]),
      ],
      accounts: [
        ...shells.map((_, n) => ({ name: SYNTHETIC, system: `shell${n}`, privateKey: synthetic })),
        ...desktops.map((_, n) => ({ name: SYNTHETIC, system: `desktop${n}`, password: PASSWORD })),
        ...(sshd === undefined
          ? []
          : [{ name: sshd.account.name, system: 'sshd', privateKey: sshd.privateKey }]),
        ...(xrdp === undefined
          ? []
          : [{ name: xrdp.account.name, system: 'xrdp', password: xrdp.account.password }]),
      ],
      policies: [
        {
          name: 'everything',
          users: ['*'],
          accounts: ['*'],
          allow: ['shell', 'exec', 'sftp', 'desktop'],
          record: true,
          keystrokes: true,
        },
      ],
    },
  });
}

export const usersOf = (sessions: number): string[] =>
  Array.from({ length: Math.min(MAX_USERS, Math.ceil(sessions / SESSIONS_PER_USER)) }, (_, n) => `user${n}`);

/** What the load processes hold, in no order of kinds: they are all opened side by side. */
export function ordersOf(plan: Plan, targets: Targets, gateway: Gateway): Order[] {
  const orders: Order[] = [];
  const users = usersOf(sessionsOf(plan));
  const { shells, desktops, sshd, keyFile } = targets;
  const host = '127.0.0.1';
  const user = (): string => users[orders.length % users.length] ?? '';
  const shell = (way: Way): Shell => {
    const n = orders.length % shells.length;
    return way === 'direct'
      ? { host, port: shells[n]?.port ?? 0, login: SYNTHETIC, keyFile }
      : { host, port: gateway.sshPort, login: `${user()}@${SYNTHETIC}@shell${n}`, keyFile };
  };
  const real = (way: Way): Shell => {
    const account = sshd?.account.name ?? '';
    return way === 'direct'
      ? { host, port: sshd?.port ?? 0, login: account, keyFile: join(sshd?.folder ?? '', 'user_key') }
      : { host, port: gateway.sshPort, login: `${user()}@${account}@sshd`, keyFile };
  };
  const add = (count: number, order: () => Order): void => {
    for (let n = 0; n < count; n += 1) orders.push(order());
  };
  const desktop = (way: Way): Order => {
    const n = orders.length % desktops.length;
    const endpoint =
      way === 'direct'
        ? { port: desktops[n]?.rdpPort ?? 0, login: SYNTHETIC }
        : { port: gateway.rdpPort, login: `${user()}+${SYNTHETIC}+desktop${n}` };
    return { way, work: 'desktop', endpoint: { protocol: 'rdp', ...endpoint } };
  };
  for (const work of ['type', 'watch', 'bulk'] as const)
    add(plan[work], () => ({ way: 'via', work, endpoint: shell('via') }));
  add(plan.typeSshd, () => ({ way: 'via', work: 'type', endpoint: real('via') }));
  add(plan.openssh, () => ({ way: 'via', work: 'openssh', endpoint: real('via') }));
  add(plan.desktop, () => desktop('via'));
  add(plan.directType, () => ({ way: 'direct', work: 'type', endpoint: shell('direct') }));
  add(plan.directSshd, () => ({ way: 'direct', work: 'type', endpoint: real('direct') }));
  add(plan.directDesktop, () => desktop('direct'));
  return shuffled(orders);
}

/** The same order every time. */
function shuffled(orders: Order[]): Order[] {
  const random = seeded(1);
  return orders
    .map((order) => ({ order, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ order }) => order);
}
