// Bounds of the console, the unit in the name. The agent checks again what it must.

export const PASSWORD_LENGTH_MIN = 8;
/** Rows asked for at once. */
export const PAGE_ROWS = 50;
/** Rows that live changes may add to a page before they are only announced. */
export const PAGE_ROWS_MAX = 200;
/** Columns of a table; the rest is in the row's drawer. */
export const COLUMNS_MAX = 6;
/** Rows whose latest change is remembered while a page is open. */
export const MARKS_MAX = 1_000;
