//! Every bound of the product, in one file, with its unit in its name.
//!
//! A bound that a configuration key may move is the default of that key.
