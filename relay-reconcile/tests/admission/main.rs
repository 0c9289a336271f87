//! Admission of pods: what is answered, and the certificate of who answers.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod enforcing;
#[cfg(test)]
mod reviewing;
#[cfg(test)]
mod webhook;
