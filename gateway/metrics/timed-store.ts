/** A store that tells how long each of its calls took. */
import type { Store } from '../store/port.ts';

/** `operation`: the name of the method; `error`: what it rejected with. */
export type StoreCall = (operation: string, seconds: number, error?: unknown) => void;

/** The same store; `called` is told of every call once it is answered. Calls within a transaction are part of it. */
export function timedStore(store: Store, called: StoreCall): Store {
  const timed = new Map<PropertyKey, unknown>();
  return new Proxy(store, {
    get(target, key) {
      const known = timed.get(key);
      if (known !== undefined) return known;
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function' || typeof key === 'symbol') return value;
      const method = timedMethod(key, value.bind(target), called);
      timed.set(key, method);
      return method;
    },
  });
}

type Method = (...args: unknown[]) => Promise<unknown>;

function timedMethod(name: string, method: Method, called: StoreCall): Method {
  return async (...args) => {
    const begun = performance.now();
    try {
      const value = await method(...args);
      called(name, (performance.now() - begun) / 1000);
      return value;
    } catch (error) {
      called(name, (performance.now() - begun) / 1000, error);
      throw error;
    }
  };
}
