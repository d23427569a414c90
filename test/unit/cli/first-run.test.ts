/** What a newcomer meets: `check` before anything was made, `npm start` on a port that is taken, and on a free one. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { stringify } from 'yaml';
import { openCertificate } from '../../../gateway/bootstrap/keys.ts';
import { requireFree } from '../../../gateway/listener/free-port.ts';
import { withTpkt } from '../../../gateway/rdp/pdu/tpkt.ts';
import { encodeConnectionConfirm, Protocol } from '../../../gateway/rdp/pdu/x224.ts';
import { startTcpTarget } from '../../support/faulty-targets.ts';
import { freePort, run, startDaemon, until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';

const CHECKOUT = join(import.meta.dirname, '../../..');
const SALLYPORT = join(CHECKOUT, 'bin/sallyport.js');

interface Finding {
  readonly id: string;
  readonly state: string;
  readonly text: string;
}

async function newcomer() {
  const folder = temporaryFolder('newcomer');
  const file = join(folder, 'sallyport.yaml');
  const dataDir = join(folder, 'data');
  const [ssh, rdp] = [await freePort(), await freePort()];
  const listen = { ssh: `127.0.0.1:${ssh}`, rdp: `127.0.0.1:${rdp}`, health: 'off', agentCheck: 'off' };
  writeFileSync(file, stringify({ node: { name: 'n1', dataDir }, listen, workers: { sessions: 1 } }));
  const sallyport = (args: readonly string[], input?: string) =>
    run(process.execPath, [SALLYPORT, ...args, '--config', file], {
      cwd: folder,
      ...(input === undefined ? {} : { input }),
    });
  const check = async () => {
    const { text, stderr, code } = await sallyport(['check', '--json']);
    assert.notEqual(text, '', stderr);
    const findings = JSON.parse(text) as readonly Finding[];
    return { code, of: (id: string) => findings.find((finding) => finding.id === id) };
  };
  return { folder, file, dataDir, ssh, rdp, sallyport, check };
}

test('check before the first run makes nothing and calls nothing right or wrong that is not there', async () => {
  const { dataDir, check } = await newcomer();
  const { code, of } = await check();
  assert.equal(code, 0);
  for (const id of ['archive', 'archive identity', 'store and vault']) {
    assert.equal(of(id)?.state, 'advice', id);
    assert.match(of(id)?.text ?? '', /is made by the first `serve`$/);
  }
  assert.equal(existsSync(dataDir), false);
});

test('npm start on a taken port keeps the passwords for the next one, which a signal to npm ends', async () => {
  const { file, dataDir, ssh } = await newcomer();
  const start = () => startDaemon('npm', ['start', '--', '--config', file], { cwd: CHECKOUT });
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(ssh, '127.0.0.1', resolve));
  const refused = start();
  assert.notEqual(await refused.exited, 0);
  assert.match(refused.output(), /listen\.ssh: .* is in use/);
  await new Promise((resolve) => other.close(resolve));

  const served = start();
  await until('the gateway is ready', () => (served.output().includes('Try it') ? true : undefined));
  assert.match(served.output(), /administrator {2}admin {2}\S{23}\n {2}demo user {6}demo {3}\S{23}\n/);
  const keys = join(dataDir, 'keys');
  chmodSync(join(keys, 'tls.crt'), 0o644);
  const tls = await openCertificate(keys, 'n1');
  assert.ok(served.output().includes(`certificate  ${tls?.fingerprint}\n`));
  chmodSync(join(keys, 'tls.key'), 0o644);
  await assert.rejects(openCertificate(keys, 'n1'), /others may read it/);
  const gateway = gatewayOf(file);
  assert.ok(gateway !== undefined);
  served.kill('SIGTERM');
  await served.exited;
  await until('the gateway has ended', () => (existsSync(`/proc/${gateway}`) ? undefined : true));
  await requireFree('listen.ssh', { host: '127.0.0.1', port: ssh });
});

test('check says what to declare, and what is shown instead of what is pinned', async () => {
  const { folder, check, sallyport } = await newcomer();
  const tls = await openCertificate(folder, 'target');
  assert.ok(tls !== undefined);
  const context = createSecureContext({ key: tls.key, cert: tls.certificate });
  const desktop = await startTcpTarget((socket) =>
    socket.once('data', () => {
      const selectedProtocol = Protocol.ssl;
      socket.write(
        withTpkt((writer) =>
          encodeConnectionConfirm(writer, { negotiation: { kind: 'selected', flags: 0, selectedProtocol } }),
        ),
      );
      new TLSSocket(socket, { isServer: true, secureContext: context }).on('error', () => {});
    }),
  );
  const at = { protocol: 'rdp', host: '127.0.0.1', port: desktop.port };
  const pinned = `sha256:${'0'.repeat(64)}`;
  const systems = [
    { name: 'bare', ...at },
    { name: 'wrong', ...at, certificate: pinned },
    { name: 'right', ...at, certificate: tls.fingerprint },
    { name: 'issued', ...at, certificate: 'ca' },
  ];
  writeFileSync(join(folder, 'systems.yaml'), stringify({ systems }));
  const applied = await sallyport(['apply', join(folder, 'systems.yaml')]);
  assert.equal(applied.code, 0, applied.stderr);
  try {
    const { code, of } = await check();
    assert.equal(code, 1);
    const where = `127.0.0.1:${desktop.port}`;
    assert.deepEqual(
      ['bare', 'wrong', 'right'].map((name) => of(`system ${name}`)?.text),
      [
        `${where} shows ${tls.fingerprint}: no certificate is declared, so nobody can connect: ` +
          'declare `certificate: sha256:…` (the one shown) or trust-on-first-use',
        `${where} shows ${tls.fingerprint}, not the pinned ${pinned}`,
        `${where} is reachable and shows the pinned certificate`,
      ],
    );
    assert.match(of('system issued')?.text ?? '', /shows sha256:\S+: no trusted authority has issued it/);
    assert.equal(of('store and vault')?.state, 'ok');
  } finally {
    await desktop.stop();
  }
});

/** The process id of the gateway that serves the file, told by its row in the process list. */
function gatewayOf(file: string): number | undefined {
  const children = (pid: number): readonly number[] => {
    const own = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number);
    return own.flatMap((child) => (child === 0 ? [] : [child, ...children(child)]));
  };
  return children(process.pid).find((pid) => {
    const [program = '', script = '', , , given] = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return program.endsWith('node') && script.endsWith('main.ts') && given === file;
  });
}
