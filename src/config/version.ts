/**
 * The version of this program, as package.json has it (a test compares the two; reading that file would cost each rank
 * a file operation).
 */
export const VERSION = "0.1.0";
