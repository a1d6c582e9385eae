/** How many people call at the same time. */
export const CALLERS = 16;

/** Each caller sends a frame this often; 200 a second in all. */
export const INTERVAL_MS = 80;

/** Frames in one conversation; then the model forgets. */
export const CONVERSATION = 8;

/** How loud people are; each is as frequent as any other. Every second frame is silent. */
export const LOUDNESS: readonly number[] = Array.from({ length: 41 }, (_, i) => 0.2 + i * 0.02);
