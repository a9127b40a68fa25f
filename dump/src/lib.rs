//! Models and encoders of task dumps.
