//! What runs beside a step.
