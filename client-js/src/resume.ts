/**
 * What outlives the page: which ticket a file was going to. IndexedDB keeps a hash of the file's
 * marks, the ticket's id and its end, and no URL; Web Locks let one tab at a time work on a file.
 * Where either is missing or refuses (a private window, a full disk, plain http), uploads work and
 * are not remembered.
 */
import { cancelled } from "./errors.js";
import { sha256 } from "./sha256.js";
import type { Memory, Place } from "./types.js";

const DATABASE = "putgate";
const STORE = "uploads";
/** Bytes at either end of a file that tell it from others. */
const EDGE = 64 * 1024;
/** Milliseconds for which the outcome of an upload is kept for a tab that waited for it. */
const ECHO = 600_000;
/** Milliseconds for which uploads wait for a database that does not open: some browsers never say so. */
const PATIENCE = 3000;

/** The browser's memory, without what has had its time; null when there is none. */
export async function openMemory(now: () => number = Date.now): Promise<Memory | null> {
  let database: IDBDatabase;
  try {
    database = await openDatabase();
    await prune(database, now());
  } catch {
    return null;
  }
  const quietly = async <T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>) => {
    try {
      return await request(act(database.transaction(STORE, mode).objectStore(STORE)));
    } catch {
      return undefined;
    }
  };
  const put = async (key: string, entry: Remembered) => {
    await quietly("readwrite", (store) => store.put(entry, key));
  };
  const place = async (key: string, since: number): Promise<Place> => {
    const found = await quietly<Remembered | undefined>("readonly", (store) => store.get(key));
    const entry = found && found.expires > now() ? found : null;
    let writing = Promise.resolve();
    let known = 0;
    const write = (entry: Remembered) => (writing = writing.then(() => put(key, entry)));
    return {
      ticket: entry?.ticket ?? null,
      ours: (entry?.ended ?? 0) >= since,
      keep({ id, expires_at }) {
        const expires = Date.parse(expires_at ?? "");
        if (Number.isNaN(expires) || expires === known) return;
        known = expires;
        void write({ ticket: id, expires });
      },
      end: (ticket) => write({ ticket, ended: now(), expires: now() + ECHO }),
    };
  };
  return {
    async around({ file, about, signal, onWait }, work) {
      const key = await fingerprint(file, JSON.stringify(about));
      if (key === null) return work(NOWHERE);
      let since = Infinity;
      const wait = () => {
        since = now();
        onWait();
      };
      return alone(key, signal, wait, async () => work(await place(key, since)));
    },
  };
}

/** What is kept of an upload: never a URL, nor what the file is called. */
interface Remembered {
  ticket: string;
  /** When it may be forgotten: milliseconds since the epoch. */
  expires: number;
  /** When its upload ended here; absent while it has not. */
  ended?: number;
}

const NOWHERE: Place = { ticket: null, ours: false, keep() {}, async end() {} };

/** Name, place, size, time and both ends of a file, and what is asked about it, as one hash. */
async function fingerprint(file: Blob, about: string): Promise<string | null> {
  const { name, lastModified, webkitRelativePath = "" } = file as File;
  // A blob that the page made has no marks of its own.
  if (name === undefined || lastModified === undefined) return null;
  const marks = JSON.stringify([about, name, webkitRelativePath, file.size, lastModified]);
  try {
    return await sha256(new Blob([marks, file.slice(0, EDGE), file.slice(-EDGE)]), () => {}, () => false);
  } catch {
    return null;
  }
}

async function alone<T>(key: string, signal: AbortSignal, onWait: () => void, work: () => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks;
  if (!locks) return work();
  const name = `putgate:${key}`;
  let begun = false;
  const begin = () => {
    begun = true;
    return work();
  };
  const busy = Symbol();
  try {
    const first = await locks.request(name, { ifAvailable: true }, (lock) => (lock ? begin() : busy));
    if (first !== busy) return first as T;
    onWait();
    return (await locks.request(name, { signal }, begin)) as T;
  } catch (error) {
    if (begun) throw error;
    if (signal.aborted) throw cancelled();
    return work();
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE).createIndex("expires", "expires");
    opening.onsuccess = () => {
      const database = opening.result;
      // Who clears this site's data need not wait for the tab to close.
      database.onversionchange = () => database.close();
      resolve(database);
    };
    setTimeout(() => reject(new Error("no answer")), PATIENCE);
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new Error("blocked"));
  });
}

function prune(database: IDBDatabase, now: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite");
    const walk = transaction.objectStore(STORE).index("expires").openCursor(IDBKeyRange.upperBound(now));
    walk.onsuccess = () => {
      walk.result?.delete();
      walk.result?.continue();
    };
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
