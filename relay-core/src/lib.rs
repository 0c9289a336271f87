//! The domain of Relay: values, expressions, actions, tokens, and the traits that stores implement.
