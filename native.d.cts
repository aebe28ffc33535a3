/** This platform, as the package of its binary is named: `linux-x64-gnu`. */
export declare function platform(): string
/** Loads it: `{ native }`, or the `{ cause }` of not doing so. */
export declare function load(): { native: unknown } | { cause: unknown }
