import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  ConfigurationError,
  configJsonSchema,
  loadConfig,
  parseConfig,
} from '../../../gateway/config/config.ts';
import { keysOf } from '../../../gateway/config/problems.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-config-'));
after(() => rmSync(folder, { recursive: true }));

const FILE = '/etc/sallyport/sallyport.yaml';
const parse = (text: string) => parseConfig(text, FILE);

function problemsOf(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    assert(error instanceof ConfigurationError);
    return error.problems;
  }
  assert.fail('was accepted');
}

describe('the configuration', () => {
  it('spreads session workers over processes evenly', () => {
    const workers = (text: string) => parse(`workers: {${text}}`).workers;
    assert.deepEqual(workers('sessions: 5, processes: 2'), { sessions: 6, processes: 2 });
    assert.deepEqual(workers('sessions: 1, processes: 3'), { sessions: 3, processes: 3 });
    assert.deepEqual(workers('sessions: 5'), { sessions: 5, processes: 1 });
  });

  it('has a default for every key', () => {
    const config = parseConfig('', undefined);
    const data = join(process.cwd(), 'sallyport-data');
    assert.deepEqual(config.node, { name: hostname(), dataDir: data, leaseSeconds: 15, demo: true });
    assert.deepEqual(config.listen.ssh, { host: '0.0.0.0', port: 4422 });
    assert.deepEqual(config.listen.rdp, { host: '0.0.0.0', port: 4489 });
    assert.deepEqual(config.listen.console, { host: '0.0.0.0', port: 8443 });
    assert.deepEqual(config.listen.health, { host: '0.0.0.0', port: 8480 });
    assert.deepEqual(config.listen.agentCheck, { host: '0.0.0.0', port: 8481 });
    assert.deepEqual(config.listen.proxyProtocol.from, []);
    assert(config.workers.sessions >= 2);
    assert.equal(config.workers.processes, 1);
    const { maxMemory, ...capacity } = config.capacity;
    assert.deepEqual(capacity, {
      maxSessions: 600,
      perUser: undefined,
      perSource: undefined,
      perSystem: undefined,
    });
    assert.ok(maxMemory > 0 && maxMemory < totalmem(), `${maxMemory}`);
    assert.deepEqual(config.drain, { seconds: 60, graceSeconds: 10 });
    assert.equal(config.store.url, `sqlite:${data}/sallyport.db`);
    assert.deepEqual(config.vault.masterKey, { from: 'file', path: `${data}/keys/master.key` });
    assert.deepEqual(config.archive, {
      urls: [`file:${data}/archive`],
      credentials: undefined,
      window: { bytes: 4 * 1024 * 1024, ms: 1000, nodeBytes: 512 * 1024 * 1024 },
      graceSeconds: 30,
      onFailure: 'pause',
      spool: { folder: `${data}/spool`, bytes: 1024 ** 3 },
      recipients: [],
      retention: undefined,
    });
    assert.deepEqual(
      { ...config.ssh },
      { banner: undefined, loginGraceSeconds: 30, connectTimeoutSeconds: 10, maxChannels: 512 },
    );
    assert.equal(config.log.level, 'info');
    assert.equal(config.file, undefined);
  });

  it('fills in the rest of a section that is given in part or empty', () => {
    const config = parse('listen: {ssh: 22}\narchive:\n  window: {ms: 100}\nlog:\nssh:\n  banner:\n');
    assert.deepEqual(config.listen.ssh, { host: '0.0.0.0', port: 22 });
    assert.equal(config.listen.console.port, 8443);
    assert.deepEqual(config.archive.window, {
      bytes: 4 * 1024 * 1024,
      ms: 100,
      nodeBytes: 512 * 1024 * 1024,
    });
    assert.equal(config.log.level, 'info');
    assert.equal(config.ssh.banner, undefined);
  });

  it('resolves paths from the folder of the file', () => {
    const config = parse(
      'node: {dataDir: data}\narchive: {url: "file:../archive"}\nvault: {masterKey: "file:k"}',
    );
    assert.equal(config.node.dataDir, '/etc/sallyport/data');
    assert.equal(config.store.url, 'sqlite:/etc/sallyport/data/sallyport.db');
    assert.equal(config.archive.urls[0], 'file:/etc/archive');
    assert.deepEqual(config.vault.masterKey, { from: 'file', path: '/etc/sallyport/k' });
    assert.equal(parse('archive: {url: "file:///mnt/a%20b"}').archive.urls[0], 'file:/mnt/a b');
    assert.equal(
      parse('archive: {url: "s3://bucket/p?endpoint=http://h"}').archive.urls[0],
      's3://bucket/p?endpoint=http://h',
    );
    assert.equal(parse('store: {url: "postgres://h/db"}').store.url, 'postgres://h/db');
    assert.deepEqual(parse('vault: {masterKey: "env:KEY"}').vault.masterKey, { from: 'env', name: 'KEY' });
  });

  const endpoints: readonly [yaml: string, host: string, port: number][] = [
    ['"[::]:4422"', '::', 4422],
    ['"[fe80::1]:1"', 'fe80::1', 1],
    ['"4422"', '0.0.0.0', 4422],
    ['4422', '0.0.0.0', 4422],
    ['0', '0.0.0.0', 0],
    ['"127.0.0.1:65535"', '127.0.0.1', 65_535],
    ['gateway.example:80', 'gateway.example', 80],
    ['":80"', '0.0.0.0', 80],
  ];
  for (const [yaml, host, port] of endpoints) {
    it(`reads the endpoint ${yaml}`, () => {
      assert.deepEqual(parse(`listen: {ssh: ${yaml}}`).listen.ssh, { host, port });
    });
  }

  it('knows listeners that are off', () => {
    const { health, agentCheck } = parse('listen: {health: off, agentCheck: "127.0.0.1:81"}').listen;
    assert.deepEqual([health, agentCheck], [undefined, { host: '127.0.0.1', port: 81 }]);
    assert.match(problemsOf('listen: {ssh: off}').join(), /^listen\.ssh: wants/);
  });

  it('reads how long recordings are kept', () => {
    assert.equal(parse('archive: {retention: 90d}').archive.retention, 90 * 86_400_000);
    assert.equal(parse('archive: {retention: forever}').archive.retention, 'forever');
    assert.deepEqual(problemsOf('archive: {retention: 90}'), [
      'archive.retention: wants a duration such as 90d, or forever, was given 90',
    ]);
    assert.match(problemsOf('archive: {retention: 0d}').join(), /^archive\.retention: wants a duration/);
  });

  it('brings address ranges into one form', () => {
    const config = parse('listen: {proxyProtocol: {from: [10.0.0.0/8, "fd00::/8", 192.0.2.7, "::1"]}}');
    assert.deepEqual(config.listen.proxyProtocol.from, ['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32', '::1/128']);
  });

  const sizes: readonly [yaml: string, bytes: number][] = [
    ['1048576', 1_048_576],
    ['"1048576"', 1_048_576],
    ['4MiB', 4 * 1024 * 1024],
    ['8 MiB', 8 * 1024 * 1024],
    ['5000k', 5_000_000],
    ['1GiB', 1024 ** 3],
  ];
  for (const [yaml, bytes] of sizes) {
    it(`reads the size ${yaml}`, () => {
      assert.equal(parse(`archive: {window: {bytes: ${yaml}}}`).archive.window.bytes, bytes);
    });
  }

  const wrong: readonly [text: string, ...problems: RegExp[]][] = [
    ['lisen: {}', /^lisen: no such key; did you mean listen\?$/],
    ['listen: {shh: 1}', /^listen.shh: no such key; did you mean listen.ssh\?$/],
    ['maxSessions: 5', /^maxSessions: no such key; did you mean capacity.maxSessions\?$/],
    ['archive: {window: {size: 5}}', /^archive.window.size: no such key/],
    ['zebra: 1', /^zebra: no such key$/],
    ['listen: {ssh: true}', /^listen.ssh: wants "host:port".*, was given true$/],
    ['listen: {ssh: "::1:22"}', /^listen.ssh: wants/],
    ['listen: {ssh: "[zz]:22"}', /^listen.ssh: wants/],
    ['listen: {ssh: "h:65536"}', /^listen.ssh: wants.*was given "h:65536"/],
    [
      'listen: {proxyProtocol: {from: [10.0.0.0/33]}}',
      /^listen.proxyProtocol.from\[0\]: wants an address range/,
    ],
    ['listen: {proxyProtocol: {from: ["010.1"]}}', /^listen.proxyProtocol.from\[0\]: wants an address range/],
    ['listen: {health: none}', /^listen.health: wants "host:port".*, or off, was given "none"$/],
    ['listen: 4422', /^listen: wants a group of keys, was given 4422$/],
    [
      'capacity: {maxSessions: "5"}',
      /^capacity.maxSessions: wants a whole number from 1 to 100000, was given "5"$/,
    ],
    ['workers: {sessions: 0}', /^workers.sessions: wants a whole number from 1 to 256, was given 0$/],
    ['workers: {processes: 65}', /^workers.processes: wants a whole number from 1 to 64, was given 65$/],
    ['workers: {sessions: 1.5}', /^workers.sessions: wants a whole number/],
    ['archive: {window: {bytes: 4 miles}}', /^archive.window.bytes: wants a size/],
    ['archive: {window: {bytes: 1KiB}}', /^archive.window.bytes: wants a size.*from 1 MiB/],
    ['archive: {onFailure: retry}', /^archive.onFailure: wants one of pause, terminate, spool, was given/],
    ['archive: {spool: {bytes: 1MiB}}', /^archive.spool.bytes: wants a size.*from 16 MiB/],
    ['archive: {window: {nodeBytes: 2000GiB}}', /^archive.window.nodeBytes: wants a size/],
    ['archive: {url: "ftp://x"}', /^archive.url: wants "file:FOLDER" or "s3:.*", was given/],
    ['archive: {recipients: [age1qqq]}', /^archive.recipients\[0\]: wants an age recipient/],
    [
      'store: {url: "mysql://u:secret@h/db"}',
      /^store.url: wants "sqlite:FILE", was given "mysql:\/\/<secret>@h\/db"$/,
    ],
    ['vault: {masterKey: abc}', /^vault.masterKey: wants "file:PATH" or "env:NAME"/],
    ['log: {level: loud}', /^log.level: wants one of .*, was given "loud"$/],
    ['node: {name: "a b"}', /^node.name: wants letters/],
    ['- 1', /^the whole file: wants a group of keys, was given a list$/],
    ['a: 1\nb: [', /^line 2, column \d+: flow sequence/],
    ['log: {}\nlog: {}', /^line 2, column 1: map keys must be unique$/],
    ['workers: {sessions: 0}\ncapacity: {maxSessions: -1}', /^workers.sessions/, /^capacity.maxSessions/],
  ];
  for (const [text, ...expected] of wrong) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      const problems = problemsOf(text);
      assert.equal(problems.length, expected.length, problems.join('\n'));
      for (const [i, pattern] of expected.entries()) assert.match(problems[i] ?? '', pattern);
    });
  }

  it('takes a recipient whose checksum is right', () => {
    const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';
    assert.deepEqual(parse(`archive: {recipients: [${recipient}]}`).archive.recipients, [recipient]);
    assert.match(
      problemsOf(`archive: {recipients: [${recipient.replace('ql3z', 'ql3y')}]}`)[0] ?? '',
      /wants an age/,
    );
  });

  it('is read from the named file, from ./sallyport.yaml, or not at all', () => {
    const file = join(folder, 'other.yaml');
    writeFileSync(file, 'node: {name: other}');
    assert.equal(loadConfig({ file }).node.name, 'other');
    assert.equal(loadConfig({ file }).file, file);
    const missing = join(folder, 'missing.yaml');
    assert.throws(() => loadConfig({ file: missing }), {
      message: `${missing}: no such file; give --config an existing one`,
    });
    const here = process.cwd();
    const work = join(folder, 'work');
    mkdirSync(work);
    process.chdir(work);
    try {
      assert.equal(loadConfig().file, undefined);
      writeFileSync('sallyport.yaml', 'node: {name: here}');
      assert.equal(loadConfig().node.name, 'here');
    } finally {
      process.chdir(here);
    }
  });

  it('has a JSON Schema with a description and no surprise for every key', () => {
    const schema = configJsonSchema();
    const keys = keysOf(schema);
    for (const key of ['node.name', 'listen.proxyProtocol.from', 'archive.window.bytes', 'ssh.maxChannels']) {
      assert(keys.includes(key), key);
    }
    const bare = keys.filter((key) => {
      const path = key.split('.').flatMap((part) => ['properties', part]);
      const found = path.reduce<unknown>((value, part) => Reflect.get(Object(value), part), schema);
      return Reflect.get(Object(found), 'properties') === undefined && !('description' in Object(found));
    });
    assert.deepEqual(bare, []);
  });
});
