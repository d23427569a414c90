import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import ssh2 from 'ssh2';
import { type Bootstrapped, bootstrap } from '../../../gateway/bootstrap/bootstrap.ts';
import { parseConfig } from '../../../gateway/config/config.ts';
import type { SystemRow } from '../../../gateway/store/port.ts';
import { EmbeddedVault } from '../../../vault-client/index.ts';
import { until } from '../../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-demo-'));
after(() => rmSync(folder, { recursive: true }));
const config = parseConfig(
  'node: {name: n1, dataDir: data}\nlisten: {ssh: "127.0.0.1:0", rdp: "127.0.0.1:0", health: off, agentCheck: off}',
  join(folder, 'sallyport.yaml'),
);

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly status: number | null;
  readonly signal: string | undefined;
}

describe("the demonstration's target", () => {
  let parts: Bootstrapped;
  let system: SystemRow;
  let password: string;

  const start = async () => {
    parts = await bootstrap(config);
    const row = await parts.store.system('demo');
    const lease = { account: 'demo', system: 'demo', user: 'test', sessionId: 'test' };
    const { credential } = await new EmbeddedVault(parts.store, parts.masterKey).checkOut(lease);
    assert(row !== undefined && credential.password !== undefined);
    system = row;
    password = credential.password.expose();
  };
  const stop = async () => {
    await parts.stopDemo();
    await parts.store.close();
  };
  before(start);
  after(stop);

  /** A connection that checks the host key as a gateway does. */
  const connect = (change: Partial<ssh2.ConnectConfig> = {}): Promise<ssh2.Client> => {
    const client = new ssh2.Client();
    const key = Buffer.from(system.hostKey?.split(' ')[1] ?? '', 'base64');
    return new Promise((resolve, reject) => {
      client.on('ready', () => resolve(client)).on('error', reject);
      client.connect({
        host: system.host,
        port: system.port,
        username: 'demo',
        password,
        hostVerifier: (shown: Buffer) => shown.equals(key),
        ...change,
      });
    });
  };

  const ran = (channel: ssh2.ClientChannel): Promise<Ran> =>
    new Promise((resolve) => {
      let [out, err] = ['', ''];
      let [status, signal]: [number | null, string | undefined] = [null, undefined];
      channel.on('data', (data: Buffer) => {
        out += data.toString();
      });
      channel.stderr.on('data', (data: Buffer) => {
        err += data.toString();
      });
      channel.on('exit', (code: number | null, name?: string) => {
        status = code;
        signal = name;
      });
      channel.on('close', () => resolve({ out, err, status, signal }));
    });

  const exec = async (command: string, options: ssh2.ExecOptions = {}, input = ''): Promise<Ran> => {
    const client = await connect();
    try {
      const channel = await new Promise<ssh2.ClientChannel>((resolve, reject) =>
        client.exec(command, options, (error, opened) =>
          error === undefined ? resolve(opened) : reject(error),
        ),
      );
      channel.end(input);
      return await ran(channel);
    } finally {
      client.end();
    }
  };

  it('is there on the first run, on loopback, with its host key pinned', () => {
    assert.deepEqual(parts.warnings, []);
    assert.deepEqual(parts.demo, { user: 'demo', login: 'demo@demo@demo' });
    assert.match(parts.created.demoPassword ?? '', /^[a-z2-9-]{23}$/);
    assert.notEqual(parts.created.demoPassword, password, 'the person knows the password of the account');
    assert.equal(system.host, '127.0.0.1');
    assert(system.port > 0);
    assert.match(system.hostKey ?? '', /^ssh-ed25519 /);
    const listening = readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    const port = system.port.toString(16).toUpperCase().padStart(4, '0');
    const own = listening.filter(([, local, , state]) => local?.endsWith(`:${port}`) && state === '0A');
    assert.deepEqual(
      own.map(([, local]) => local),
      [`0100007F:${port}`],
    );
  });

  it('runs commands with both streams and their exit status', async () => {
    const { out, err, status } = await exec('cat; echo wrong >&2; exit 3', {}, 'hello\n');
    assert.deepEqual([out, err, status], ['hello\n', 'wrong\n', 3]);
    assert.equal((await exec('kill -TERM $$')).signal, 'SIGTERM');
  });

  it('carries much in both directions unchanged', async () => {
    const text = 'a line of text\n'.repeat(100_000);
    assert.equal((await exec('cat', {}, text)).out, text);
  });

  it('gives programs nothing of the gateway, neither its environment nor root', async () => {
    const { out } = await exec('env; id -u', { env: { LANG: 'C', LD_PRELOAD: 'x' } });
    assert.match(out, /^LANG=C$/m);
    assert.doesNotMatch(out, /LD_PRELOAD|SALLYPORT|NODE/);
    assert.doesNotMatch(out, /^0$/m);
  });

  it('gives a shell on a terminal that follows its size', async () => {
    const client = await connect();
    const channel = await new Promise<ssh2.ClientChannel>((resolve, reject) =>
      client.shell({ rows: 30, cols: 90, term: 'xterm' }, (error, opened) =>
        error === undefined ? resolve(opened) : reject(error),
      ),
    );
    let seen = '';
    channel.on('data', (data: Buffer) => {
      seen += data.toString();
    });
    const shown = (pattern: RegExp) =>
      until(`${pattern} is shown`, () => (pattern.test(seen) ? true : undefined)).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(seen)}`);
      });
    channel.write('tty; stty size; echo $TERM\n');
    await shown(/\/dev\/pts\/\d+\r\n30 90\r\nxterm\r\n/);
    // Waits for the signal that a full-screen program waits for; it may come twice, for rows and for columns.
    channel.write(`exec sh -c 'trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done'\n`);
    await shown(/\r\nready\r\n/);
    channel.setWindow(50, 132, 0, 0);
    await shown(/\r\n50 132\r\n$/);
    client.end();
  });

  it('takes its one password for its one account', async () => {
    await assert.rejects(connect({ password: 'wrong' }), { level: 'client-authentication' });
    await assert.rejects(connect({ username: 'root' }), { level: 'client-authentication' });
    await assert.rejects(connect({ password: parts.created.demoPassword ?? '' }), {
      level: 'client-authentication',
    });
  });

  it('keeps its password out of process lists', () => {
    let found = 0;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      let shown: string;
      try {
        shown =
          readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
      } catch {
        // Ended meanwhile, or of the kernel.
        continue;
      }
      if (shown.includes('demo-target.ts')) found++;
      assert(!shown.includes(password), `process ${pid}`);
    }
    assert(found >= 1);
  });

  it('ends with its programs when the node stops, and is found again where it was', async () => {
    const client = await connect();
    const channel = await new Promise<ssh2.ClientChannel>((resolve, reject) =>
      client.exec('trap "" TERM; echo $$; exec sleep 1000', { pty: true }, (error, opened) =>
        error === undefined ? resolve(opened) : reject(error),
      ),
    );
    client.on('error', () => {});
    const pid = await new Promise<number>((resolve) =>
      channel.once('data', (data: Buffer) => resolve(Number(data))),
    );
    assert(process.kill(pid, 0));
    const { port, hostKey } = system;
    await stop();
    await ended(pid);
    await start();
    assert.deepEqual(parts.created, {});
    assert.deepEqual([system.port, system.hostKey], [port, hostKey]);
    assert.equal((await exec('echo again')).out, 'again\n');
  });

  it('moves when its port was taken meanwhile, and the system follows', async () => {
    await stop();
    const taken = system.port;
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(taken, '127.0.0.1', resolve));
    try {
      await start();
      assert.notEqual(system.port, taken);
      assert.equal((await exec('echo moved')).out, 'moved\n');
    } finally {
      squatter.close();
    }
  });
});

/** Resolves when the process is gone, or a zombie that nobody waits for. */
async function ended(pid: number): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    try {
      if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))) return;
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`process ${pid} lives on`);
}
