/** This platform, as the package of its binary is named: `linux-x64-gnu`. */
export declare function platform(): string
/** Loads it, or throws what the runtime says. */
export declare function load(): unknown
