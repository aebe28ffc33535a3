// What a client can hold, and for how long.

const KIB = 1024
const MIB = 1024 * KIB

/** Connections of one front end at once; further ones are closed. */
export const maxConnections = 512

/** Requests of one connection that wait for their answers; one more ends the connection. */
export const maxPipelined = 16

/** Streams of events at once. */
export const maxEventStreams = 256

/** WebSockets at once. */
export const maxWebSockets = 256

/** Bytes of all headers of a request. */
export const maxHeaderBytes = 16 * KIB

/** Bytes of a request's body. */
export const maxBodyBytes = MIB

/** Bytes of all bodies that are being read. */
export const maxBodiesBytes = 64 * MIB

/** Bytes of a body that is too large, or that nobody wants; with more the connection is closed. */
export const maxDiscardedBytes = 8 * MIB

/** Bytes of all answers that clients have not read yet. */
export const maxAnswersBytes = 64 * MIB

/** Arrays and objects in each other in a body. */
export const maxDepth = 64

/** Characters of a path with its query. */
export const maxUrlLength = 4096

/** Until all headers have come. */
export const headersTimeoutMs = 10_000

/** Until the whole request has come. */
export const requestTimeoutMs = 30_000

/** Between two requests. */
export const keepAliveTimeoutMs = 10_000

/** How often connections are looked at. */
export const checkingIntervalMs = 1000

/** For a client to read what is left when its connection is being closed. */
export const lingerMs = 10_000

/** For answers and streams to end when the front end is being closed. */
export const closeMs = 2000

/** Bytes of events that wait for a slow reader; with more it is told to come again. */
export const eventBufferBytes = 256 * KIB

/** Between two questions for the stats of a machine. */
export const statsIntervalMs = 1000

/** The longest time between two stats that a listener may ask for. */
export const maxStatsIntervalMs = 60_000

/** Stats that are left out for a slow reader; with more its stream ends. */
export const maxSkipped = 60

/** Between two signs of life, of streams of events and of WebSockets. */
export const heartbeatMs = 15_000

/** Pings without an answer after which a WebSocket is closed. */
export const maxSilentPings = 4

/** Bytes of one message of a WebSocket. */
export const maxMessageBytes = 256 * KIB

/** Bytes that wait for a slow WebSocket; with more its machine's bytes wait. */
export const webSocketBufferBytes = 256 * KIB
