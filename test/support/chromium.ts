/** Chromium without a window, told what to do over its DevTools protocol. */
import { type Daemon, startDaemon, until } from './process.ts';
import { temporaryFolder } from './temp.ts';

export interface Page {
  /**
   * Runs the body of an async function in the page and resolves with what it returns, which JSON can hold;
   * rejects with what it throws.
   */
  run<T>(body: string): Promise<T>;
}

export interface Chromium {
  /** Opens a page; resolves when it and what it names has been loaded. */
  open(url: string): Promise<Page>;
  stop(): Promise<void>;
}

interface Reply {
  readonly id?: number;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}
type Call = (
  method: string,
  parameters: Readonly<Record<string, unknown>>,
  sessionId?: string,
) => Promise<Readonly<Record<string, unknown>>>;

/** What a page's answer may take on a busy machine. */
const PATIENCE_MS = 60_000;

/** Starts a browser with a profile of its own that plays videos without being clicked at. */
export async function startChromium(): Promise<Chromium> {
  const daemon = startDaemon('/usr/bin/chromium', [
    // Tests run as root, where it has no sandbox; it is shown files of ours alone.
    ...['--headless=new', '--no-sandbox', '--remote-debugging-port=0'],
    ...['--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking'],
    ...['--autoplay-policy=no-user-gesture-required', `--user-data-dir=${temporaryFolder('chromium')}`],
    'about:blank',
  ]);
  const url = await until('the address of DevTools', () => devToolsOf(daemon), PATIENCE_MS);
  const call = await connect(url);
  return {
    async open(page): Promise<Page> {
      const { targetId } = await call('Target.createTarget', { url: page });
      const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
      const evaluate = async (expression: string): Promise<unknown> => {
        const options = { expression, awaitPromise: true, returnByValue: true };
        const said = await call('Runtime.evaluate', options, String(sessionId));
        const { result, exceptionDetails } = said as {
          readonly result: { readonly value?: unknown };
          readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
        };
        if (exceptionDetails !== undefined)
          throw new Error(`in the page: ${exceptionDetails.exception?.description}`);
        return result.value;
      };
      // A new tab shows an empty page first, which is complete as well.
      const there = `document.readyState === 'complete' && location.href === ${JSON.stringify(page)}`;
      const loaded = async (): Promise<true | undefined> =>
        (await evaluate(there)) === true ? true : undefined;
      await until(`${page} to be loaded`, loaded, PATIENCE_MS);
      return { run: async <T>(body: string) => (await evaluate(`(async () => { ${body} })()`)) as T };
    },
    async stop(): Promise<void> {
      await daemon.stop();
    },
  };
}

function devToolsOf(daemon: Daemon): string | undefined {
  return /DevTools listening on (ws:\S+)/.exec(daemon.output())?.[1];
}

/** Resolves with a function that calls methods of the browser, or of the page attached as `sessionId`. */
async function connect(url: string): Promise<Call> {
  const socket = new WebSocket(url);
  const waiting = new Map<number, PromiseWithResolvers<Readonly<Record<string, unknown>>>>();
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error(`no DevTools at ${url}`)));
  });
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(String(data)) as Reply;
    if (id === undefined) return;
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(result ?? {});
    else call?.reject(new Error(`chromium: ${error.message}`));
  });
  socket.addEventListener('close', () => {
    for (const call of waiting.values()) call.reject(new Error('chromium has ended'));
  });
  let last = 0;
  return (method, params, sessionId) => {
    const id = ++last;
    const call = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    waiting.set(id, call);
    socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    return call.promise;
  };
}
