/** The longest that a timer of Node.js takes, in milliseconds. */
export const MOST_TIMER_MS = 2 ** 31 - 1
