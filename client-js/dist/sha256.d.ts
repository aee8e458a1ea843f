/** The digest in base64; null when `stop()` answered true. Throws when the file cannot be read. */
export declare function sha256(file: Blob, onHashed: (bytes: number) => void, stop: () => boolean): Promise<string | null>;
