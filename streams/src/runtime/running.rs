//! Which applications run in this process: two of one name on one cluster would each take all
//! partitions, and write one state over the other.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_core::client::ClusterBackend;
use headwater_core::types::GroupId;
use headwater_core::{Error, ErrorKind, Result};

/// The applications that have not ended, with the address of their cluster's backend.
static RUNNING: Mutex<Vec<(usize, GroupId)>> = Mutex::new(Vec::new());

/// The right to run an application; dropping it gives the name free.
pub(super) struct Running {
    name: GroupId,
    /// Keeps the address from being another backend's.
    backend: Arc<dyn ClusterBackend>,
}

impl Running {
    /// Takes the name.
    pub(super) fn take(backend: &Arc<dyn ClusterBackend>, name: &GroupId) -> Result<Self> {
        let entry = (address(backend), name.clone());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains(&entry) {
            return Err(Error::new(
                ErrorKind::NonEmptyGroup,
                format!(
                    "application {name} runs on this cluster: close its handle and wait for that \
                     before it is started again"
                ),
            ));
        }
        running.push(entry);
        Ok(Self {
            name: name.clone(),
            backend: Arc::clone(backend),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let address = address(&self.backend);
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(other, name)| *other != address || *name != self.name);
    }
}

fn address(backend: &Arc<dyn ClusterBackend>) -> usize {
    Arc::as_ptr(backend).addr()
}
