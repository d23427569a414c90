/** How the rows of the port lie in SQLite's columns: one codec per field, SQL made from them. */
import { StoreError } from './errors.ts';

type SqlValue = string | number | null | Uint8Array;

/** `fromSql` gives undefined for a value that the column cannot have. */
interface Codec<T> {
  readonly toSql: (value: T) => SqlValue;
  readonly fromSql: (value: unknown) => { readonly value: T } | undefined;
}

export const text: Codec<string> = {
  toSql: (value) => value,
  fromSql: (value) => (typeof value === 'string' ? { value } : undefined),
};
export const integer: Codec<number> = {
  toSql: (value) => value,
  fromSql: (value) => (typeof value === 'number' ? { value } : undefined),
};
export const flag: Codec<boolean> = {
  toSql: (value) => (value ? 1 : 0),
  fromSql: (value) => (value === 0 || value === 1 ? { value: value === 1 } : undefined),
};
export const bytes: Codec<Uint8Array> = {
  toSql: (value) => value,
  fromSql: (value) => (value instanceof Uint8Array ? { value } : undefined),
};

export function oneOf<const T extends string>(words: readonly T[]): Codec<T> {
  return {
    toSql: (value) => value,
    fromSql: (value) => {
      const found = words.find((word) => word === value);
      return found === undefined ? undefined : { value: found };
    },
  };
}

export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    toSql: (value) => (value === undefined ? null : codec.toSql(value)),
    fromSql: (value) => (value === null ? { value: undefined } : codec.fromSql(value)),
  };
}

/** JSON text. Only this program writes the column, so its shape is taken on `is`'s word. */
export function json<T>(is: (value: unknown) => value is T): Codec<T> {
  return {
    toSql: (value) => JSON.stringify(value),
    fromSql: (value) => {
      if (typeof value !== 'string') return undefined;
      try {
        const parsed: unknown = JSON.parse(value);
        return is(parsed) ? { value: parsed } : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

/** One table: `fields` in the port's names, columns in snake case. */
export class Table<Row extends object> {
  readonly name: string;
  /** `id, name, password_hash …` */
  readonly columns: string;
  readonly insertSql: string;
  /** Inserts, or changes the row that has this id. */
  readonly upsertSql: string;
  readonly #fields: readonly {
    readonly key: string;
    readonly column: string;
    readonly codec: Codec<unknown>;
  }[];

  constructor(name: string, fields: { readonly [K in keyof Row]-?: Codec<Row[K]> }) {
    this.name = name;
    // Each codec meets only the values of its own field: the parameter's type says so.
    const codecs = Object.entries(fields as unknown as Readonly<Record<string, Codec<unknown>>>);
    this.#fields = codecs.map(([key, codec]) => ({ key, column: snake(key), codec }));
    const columns = this.#fields.map(({ column }) => column);
    this.columns = columns.join(', ');
    this.insertSql = `INSERT INTO ${name} (${this.columns}) VALUES (${columns.map(() => '?').join(', ')})`;
    const changes = columns
      .filter((column) => column !== 'id')
      .map((column) => `${column} = excluded.${column}`);
    this.upsertSql = `${this.insertSql} ON CONFLICT (id) DO UPDATE SET ${changes.join(', ')}`;
  }

  /** The row's values in the order of `columns`. */
  values(row: Row): SqlValue[] {
    return this.#fields.map(({ key, codec }) => codec.toSql(Reflect.get(row, key)));
  }

  /** `SET` clause and values for the fields that `change` has; undefined when it has none. */
  change(change: Partial<Row>): { readonly set: string; readonly values: SqlValue[] } | undefined {
    const given = this.#fields.filter(({ key }) => Object.hasOwn(change, key));
    if (given.length === 0) return undefined;
    return {
      set: given.map(({ column }) => `${column} = ?`).join(', '),
      values: given.map(({ key, codec }) => codec.toSql(Reflect.get(change, key))),
    };
  }

  /** What holds for a row whose fields are those that `expected` has: conditions with their values. */
  condition(expected: Partial<Row>): (readonly [sql: string, ...values: SqlValue[]])[] {
    return this.#fields
      .filter(({ key }) => Object.hasOwn(expected, key))
      .map(({ key, column, codec }) => [`${column} IS ?`, codec.toSql(Reflect.get(expected, key))]);
  }

  read(raw: Record<string, unknown>): Row {
    const row: Record<string, unknown> = {};
    for (const { key, column, codec } of this.#fields) {
      // SQLite names the result's column without the quotes.
      const found = codec.fromSql(raw[column.replaceAll('"', '')]);
      if (found === undefined) {
        throw new StoreError(
          'unusable',
          `database: column ${this.name}.${column} holds a value it cannot have`,
        );
      }
      row[key] = found.value;
    }
    return row as Row;
  }
}

/** `passwordHash` → `password_hash`; `by` is a word of SQL. */
function snake(key: string): string {
  return key === 'by' ? '"by"' : key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
