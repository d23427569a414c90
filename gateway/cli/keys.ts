/** `sallyport keys`: which keys there are, and new ones in their place. */
import { createHash } from 'node:crypto';
import type { Command } from 'commander';
import { generateIdentity } from '../../recorder/index.ts';
import { MasterKey } from '../../vault-client/index.ts';
import { auditRow } from '../audit/events.ts';
import { createKeyFile } from '../bootstrap/key-file.ts';
import {
  CHECK_SETTING,
  identityText,
  keysFolder,
  knownRecipients,
  openMasterKey,
  rotateSigningKey,
  signingKeysByNode,
} from '../bootstrap/keys.ts';
import { masterKeyId, rotateMasterKey } from '../bootstrap/rotate-master.ts';
import type { Config } from '../config/config.ts';
import type { Store } from '../store/port.ts';
import { configOf, openStore, operator, withCommon } from './common.ts';
import { printFields, printList, UsageError } from './output.ts';

interface Options {
  readonly config?: string;
  readonly json?: boolean;
}

/** As long as the ids of signing keys. */
const ID_DIGITS = 32;
/** How often it is looked whether a node renewed its lease. */
const POLL_MS = 500;

interface KeyLine {
  /** Of a signing key: its key id; otherwise a fingerprint. */
  readonly id: string;
  readonly kind: 'signing' | 'recipient' | 'master';
  readonly node?: string;
  readonly state: string;
  /** Public. */
  readonly recipient?: string;
  /** Of a signing key, PEM: what proves its signatures where no store is. */
  readonly publicKey?: string;
}

export function addKeys(program: Command): void {
  const keys = program.command('keys').description('list and rotate keys');

  withCommon(
    keys
      .command('ls')
      .description('list signing keys, archive recipients and the master key; never a secret'),
  ).action(async (options: Options) => {
    const config = configOf(options.config);
    await using store = await openStore(options.config);
    const lines = [
      ...(await signingLines(store)),
      ...recipientLines(config, keysFolder(config)),
      ...(await masterLines(config, store)),
    ];
    printList(
      lines,
      [
        { title: 'ID', value: (line) => line.id },
        { title: 'KIND', value: (line) => line.kind },
        { title: 'NODE', value: (line) => line.node },
        { title: 'STATE', value: (line) => line.state },
        { title: 'RECIPIENT', value: (line) => line.recipient },
      ],
      { json: options.json, empty: 'no keys yet' },
    );
  });

  const rotate = keys.command('rotate').description('put a new key in the place of one');
  withCommon(
    rotate
      .command('signing')
      .description('make a new key that signs the recordings of this node, used from its next start on'),
  ).action(async (options: Options) => {
    const config = configOf(options.config);
    const { name } = config.node;
    await using store = await openStore(options.config);
    const { keyId, previous } = await rotateSigningKey(keysFolder(config), name, store);
    const detail = { kind: 'signing', id: keyId, previous };
    await store.insertAudit(auditRow({ node: name, code: 'key.rotated', actor: operator(), detail }));
    printFields(
      {
        id: keyId,
        node: name,
        previous,
        ...(options.json === true
          ? {}
          : { next: 'a node that runs signs with it from its next start on; what was signed stays proved' }),
      },
      options.json,
    );
  });

  withCommon(
    rotate
      .command('master')
      .description('seal all secrets of the database under a new master key; wants every node stopped')
      .argument('<file>', 'where to write the new key: a file that is not there yet'),
  )
    .addHelpText(
      'after',
      '\nThe new key counts as soon as this command ends well: give it to every node in the place of the old one\n' +
        '(vault.masterKey), then start them. Keep the old key as long as backups of the database. Launch files\n' +
        'that were not opened yet work no more.',
    )
    .action(async (file: string, options: Options) => {
      const config = configOf(options.config);
      await using store = await openStore(options.config);
      const masterKey = await openMasterKey(config, store);
      await requireStopped(store);
      const text = MasterKey.generate();
      if (!createKeyFile(file, `${text}\n`))
        throw new UsageError(`${file}: is there already: a key is never overwritten, name another file`);
      const next = MasterKey.parse(text, file);
      const operation = { by: operator(), node: config.node.name };
      const secrets = await rotateMasterKey(store, masterKey, next, operation);
      printFields(
        {
          id: masterKeyId(next.checkValue()),
          previous: masterKeyId(masterKey.checkValue()),
          secrets,
          file,
          ...(options.json === true
            ? {}
            : {
                next: 'give it to every node as vault.masterKey, then start them; keep the old one for backups',
              }),
        },
        options.json,
      );
    });

  const identity = keys.command('identity').description('identities that open recordings');
  withCommon(
    identity
      .command('new')
      .description('write a new archive identity to a file, and print its recipient')
      .argument('<file>', 'a file that is not there yet'),
  )
    .addHelpText(
      'after',
      '\nPut the recipient into archive.recipients of every node, and restart them: recordings made from then\n' +
        'on open with this identity. With the recipients of several identities, each opens them. Recordings\n' +
        'made before open with the identities of their own time only: keep those.',
    )
    .action(async (file: string, options: Options) => {
      const made = await generateIdentity();
      if (!createKeyFile(file, identityText(made)))
        throw new UsageError(
          `${file}: is there already: an identity is never overwritten, name another file`,
        );
      printFields({ recipient: made.recipient, file }, options.json);
    });
}

/** A node that runs renews its lease; one that died without a word does not. @throws UsageError: one runs */
async function requireStopped(store: Store): Promise<void> {
  const seen = (await store.nodes()).filter(({ state }) => state === 'running');
  const names = seen.map(({ name }) => name).join(', ');
  const waitMs = Math.max(0, ...seen.map(({ leaseMs }) => leaseMs));
  if (waitMs > 0) process.stderr.write(`waiting up to ${waitMs / 1000} s for a sign of node ${names}\n`);
  for (const since = performance.now(); performance.now() - since < waitMs; ) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    for (const { id, name, renewals } of seen) {
      const now = await store.node(id);
      if (now !== undefined && now.renewals !== renewals)
        throw new UsageError(
          `node ${name} is running: stop every node first, they have the old key in memory`,
        );
    }
  }
}

async function signingLines(store: Store): Promise<readonly KeyLine[]> {
  const nodes = [...(await signingKeysByNode(store))];
  return nodes.flatMap(([node, keys]) =>
    [...keys].map(([id, key], at) => ({
      id,
      kind: 'signing' as const,
      node,
      state: at === 0 ? 'current' : 'earlier',
      publicKey: key.export({ type: 'spki', format: 'pem' }).toString(),
    })),
  );
}

function recipientLines({ archive, node }: Config, folder: string): readonly KeyLine[] {
  return knownRecipients(folder, archive.recipients).map((recipient) => ({
    id: createHash('sha256').update(recipient).digest('hex').slice(0, ID_DIGITS),
    kind: 'recipient',
    node: node.name,
    state: archive.recipients.length > 0 ? 'archive.recipients' : "the node's own",
    recipient,
  }));
}

async function masterLines({ vault }: Config, store: Store): Promise<readonly KeyLine[]> {
  const check = await store.setting(CHECK_SETTING);
  if (check === undefined) return [];
  const { masterKey } = vault;
  const state = masterKey.from === 'file' ? `file:${masterKey.path}` : `env:${masterKey.name}`;
  return [{ id: masterKeyId(check), kind: 'master', state }];
}
