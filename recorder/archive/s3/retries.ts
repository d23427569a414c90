/** When the AWS client tries a request again. */
import type { S3ClientConfig } from '@aws-sdk/client-s3';

type RetryStrategy = Extract<
  NonNullable<S3ClientConfig['retryStrategy']>,
  { acquireInitialRetryToken: unknown }
>;
type RetryToken = Awaited<ReturnType<RetryStrategy['acquireInitialRetryToken']>>;

/** The longest wait before the second attempt, by what the client calls the error; it doubles with each. */
const DELAYS_MS = new Map<string, number>([
  ['TRANSIENT', 100],
  ['THROTTLING', 500],
]);

/**
 * The client's own standard strategy, full jitter included, without what it keeps from one request to the next: of an
 * outage it remembers that nothing helped, and then gives up at the first connection that breaks, until hundreds of
 * requests have gone well. Who logs on just after it would be refused for one stale connection.
 * @param attempts of each request, the first included
 */
export function retries(attempts: number): RetryStrategy {
  return {
    acquireInitialRetryToken: () => Promise.resolve(tokenOf(0, 0)),
    refreshRetryTokenForRetry(token, { errorType }) {
      const count = token.getRetryCount() + 1;
      const base = DELAYS_MS.get(errorType);
      // The client tells its caller of the request's own error, not of this one.
      if (base === undefined || count >= attempts) return Promise.reject(new Error('not tried again'));
      return Promise.resolve(tokenOf(count, Math.random() * base * 2 ** (count - 1)));
    },
    recordSuccess() {},
  };
}

function tokenOf(count: number, delayMs: number): RetryToken {
  return { getRetryCount: () => count, getRetryDelay: () => delayMs };
}
