/** `sallyport launch`: a file that opens one desktop for one person, once. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { auditRow } from '../audit/events.ts';
import { openNode } from '../bootstrap/bootstrap.ts';
import { parseCidr } from '../config/address.ts';
import { parseDuration } from '../config/units.ts';
import { makeLaunch } from '../control/launches.ts';
import { desktopFile, fileBytes } from '../launch/rdp-file.ts';
import { SigningError, signed } from '../launch/sign.ts';
import type { Capability } from '../policy/capability.ts';
import { evaluate, matchingPolicies } from '../policy/evaluate.ts';
import { formatLogin } from '../policy/target-name.ts';
import type { Store } from '../store/port.ts';
import { configOf, operator, withCommon } from './common.ts';
import { printFields, printJson, UsageError } from './output.ts';

interface LaunchOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly valid: string;
  readonly from?: string;
  readonly nla?: boolean;
  readonly output?: string;
}

const MAX_LIFETIME_MS = 24 * 3600_000;

export function addLaunch(program: Command): void {
  withCommon(
    program
      .command('launch')
      .description('write a signed .rdp file that opens a desktop for a person, once and soon')
      .argument('<user>', 'who it is for')
      .argument('<target>', 'account@system, as in administrator@win01'),
  )
    .option('--valid <duration>', 'how long it may be opened', '60s')
    .option('--from <range>', 'address or range (CIDR) that it must be opened from')
    .option('--nla', 'for clients that insist on NLA: they ask for a password, which is printed here')
    .option('--output <file>', "where to write it, '-' for standard output (default: ACCOUNT-SYSTEM.rdp)")
    .addHelpText(
      'after',
      '\nThe file holds a credential that works once and stands for every factor of that person: give it to\n' +
        'nobody else. With --nla the file holds none, and the password that is printed works once. While it is\n' +
        "open, the person's own password does not fit NLA unless they have nla: true.\n\n" +
        'Example:\n  sallyport launch alice administrator@win01 --valid 5m --from 10.1.0.0/16',
    )
    .action(async (user: string, target: string, options: LaunchOptions) => {
      if (options.output === '-' && (options.json === true || options.nla === true)) {
        const option = options.json === true ? '--json' : '--nla';
        throw new UsageError(`${option}: name a file with --output, standard output has the data`);
      }
      const config = configOf(options.config);
      const { account, system } = targetOf(target);
      const lifetimeMs = lifetimeOf(options.valid);
      const source = rangeOf(options.from);
      const nla = options.nla === true;
      const login = formatLogin(user, account, system);
      const { store, masterKey } = await openNode(config);
      try {
        const now = Date.now();
        const allow = await allowed(store, user, account, system, now);
        const { credential } = await store.transaction(async (tx) => {
          const made = await makeLaunch(
            tx,
            masterKey,
            { user, account, system, source, nla },
            now,
            lifetimeMs,
          );
          const detail = {
            launch: made.name,
            user,
            account,
            system,
            seconds: lifetimeMs / 1000,
            ...(source === undefined ? {} : { from: source }),
          };
          const by = operator();
          await tx.insertAudit(
            auditRow({ code: 'launch.created', node: config.node.name, actor: by, detail }),
          );
          return made;
        });
        const lines = desktopFile({ address: config.rdp.address, login, credential, nla, allow });
        const { lines: written, signedBy, unsigned } = await sign(lines, join(config.node.dataDir, 'keys'));
        const file = options.output ?? `${account}-${system}.rdp`.replace(/[^\w.-]/g, '_');
        write(file, fileBytes(written));
        if (unsigned !== undefined)
          process.stderr.write(`sallyport: the file is not signed, clients warn of it: ${unsigned}\n`);
        if (file === '-') return;
        const expiresAt = now + lifetimeMs;
        if (options.json === true)
          return printJson({
            user,
            account,
            system,
            file,
            login,
            expiresAt,
            source,
            signed: signedBy !== undefined,
            ...(nla ? { password: credential } : {}),
          });
        printFields(
          {
            file,
            opens: `${account}@${system} for ${user}${source === undefined ? '' : ` from ${source}`}`,
            ...(nla ? { password: credential } : {}),
            until: `${new Date(expiresAt).toISOString()} (once)`,
            'signed by': signedBy ?? 'nobody',
          },
          false,
        );
      } finally {
        await store.close();
      }
    });
}

function targetOf(target: string): { account: string; system: string } {
  // An account may be a UPN, a system's name has no @.
  const at = target.lastIndexOf('@');
  if (at <= 0 || at === target.length - 1)
    throw new UsageError(`${target}: wants account@system, as in administrator@win01`);
  return { account: target.slice(0, at), system: target.slice(at + 1) };
}

function lifetimeOf(valid: string): number {
  const ms = parseDuration(valid);
  if (ms === undefined || ms < 1000 || ms > MAX_LIFETIME_MS)
    throw new UsageError(`--valid ${valid}: wants a duration from 1s to 24h, as in 60s or 5m`);
  return ms;
}

function rangeOf(from: string | undefined): string | undefined {
  if (from === undefined) return undefined;
  const range = parseCidr(from);
  if (range === undefined)
    throw new UsageError(`--from ${from}: wants an address or a range such as 10.1.0.0/16`);
  return range;
}

/** What policy allows; it is asked again when the file is opened. */
async function allowed(
  store: Store,
  user: string,
  account: string,
  system: string,
  now: number,
): Promise<readonly Capability[]> {
  const person = await store.user(user);
  if (person === undefined || person.disabled)
    throw new UsageError(`there is no user ${user} who may log on`);
  const row = await store.system(system);
  if (row === undefined || (await store.account(account, system)) === undefined)
    throw new UsageError(`there is no account ${account} on a system ${system}: see sallyport apply`);
  if (row.protocol !== 'rdp')
    throw new UsageError(`${system} is reached over ${row.protocol}: ${user} logs on with their own client`);
  const policies = matchingPolicies(await store.policies(), user, account, system);
  const question = { user, account, system, protocol: 'rdp', now, openSessions: () => 0 } as const;
  const access = evaluate(policies, { ...question, reason: 'asked when it is opened' });
  if (!access.granted) throw new UsageError(`${user} may not open it: ${access.message}`);
  return access.policy.allow;
}

/** Where there is nothing to sign with, the file still opens. */
async function sign(
  lines: readonly string[],
  keys: string,
): Promise<{ lines: readonly string[]; signedBy?: string; unsigned?: string }> {
  const certificate = join(keys, 'tls.crt');
  if (!existsSync(certificate)) return { lines, unsigned: `there is no ${certificate}` };
  try {
    return { lines: await signed(lines, { key: join(keys, 'tls.key'), certificate }), signedBy: certificate };
  } catch (error) {
    if (error instanceof SigningError) return { lines, unsigned: error.message };
    throw error;
  }
}

function write(file: string, bytes: Buffer): void {
  if (file === '-') return void process.stdout.write(bytes);
  try {
    // It is a credential: nobody else reads it, whatever was there before.
    rmSync(file, { force: true });
    writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new UsageError(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
