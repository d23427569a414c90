// Runs after `npm ci`: patches ssh2, rebuilds its crypto addon for the Node that
// the project pins, and proves that the addon loads. A gateway that silently fell
// back to JavaScript ciphers would need two to five times the CPU, so a failure
// here fails the install. (Plain JavaScript: it must run before anything else works.)
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
// Older Nodes than the pinned one come as far as `usePinnedNode`.
const script = fileURLToPath(import.meta.url);
const root = join(dirname(script), '..');
usePinnedNode();
const addonDir = join(root, 'node_modules/ssh2/lib/protocol/crypto');

// node-gyp lets npm's configuration, which npm passes in the environment, win over its arguments.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_(config|package_config)_/i.test(name)),
);

// `npm ci` of npm 9 (Debian 12) does not link the commands of optional packages, so that the machine's
// Node runs this instead of the pinned one.
function usePinnedNode() {
  const name = `node-${process.platform}-${process.arch}`;
  if (!existsSync(join(root, 'node_modules', name, 'bin/node'))) return;
  const link = join(root, 'node_modules/.bin/node');
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join('..', name, 'bin/node'), link);
  process.exit(spawnSync(link, [script], { stdio: 'inherit' }).status ?? 1);
}

function run(what, command, args, cwd) {
  const result = spawnSync(process.execPath, [command, ...args], { cwd, env, encoding: 'utf8' });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}\n`);
  fail(`could not ${what}`);
}

function fail(why) {
  process.stderr.write(
    `sallyport: ${why}.\nThe SSH crypto addon is compiled at install: it needs python3, make and g++` +
      ' (Debian: apt-get install python3 make g++).\n',
  );
  process.exit(1);
}

// Headers of the Node that runs us: the pinned package ships them, so no download
// is needed, and a `nodedir` in the user's npm configuration (another Node's
// headers) must not win.
function headers() {
  const beside = join(dirname(process.execPath), '..');
  if (existsSync(join(beside, 'include/node/node_version.h'))) return beside;
  return undefined;
}

run('patch ssh2', require.resolve('patch-package/dist/index.js'), ['--error-on-fail'], root);

const nodedir = headers();
run(
  'build the SSH crypto addon',
  require.resolve('node-gyp/bin/node-gyp.js'),
  [
    'rebuild',
    `--target=${process.version}`,
    // Without the real OpenSSL's major, chacha20-poly1305 decryption is built wrong.
    `--real_openssl_major=${process.versions.openssl.split('.')[0]}`,
    ...(nodedir === undefined ? [] : [`--nodedir=${nodedir}`]),
  ],
  addonDir,
);

// Proof by a fresh process: `bindingAvailable` is what ssh2 itself goes by.
const proof = spawnSync(
  process.execPath,
  ['-e', "process.exit(require('ssh2/lib/protocol/crypto.js').bindingAvailable ? 0 : 3)"],
  { cwd: root, encoding: 'utf8' },
);
if (proof.status !== 0) fail(`the SSH crypto addon was built but does not load\n${proof.stderr}`);
process.stdout.write(`sallyport: SSH crypto addon built and loaded on Node ${process.version}\n`);
