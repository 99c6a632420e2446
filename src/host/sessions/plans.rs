//! The plans by name: what new sessions run on.
//!
//! **Invariant:** a plan that is in here is whole; one that cannot be made changes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{self, Complaints};
use crate::session::plan::Plan;

/// Why a configuration did not take the place of another.
#[derive(Debug)]
pub enum NotReloaded {
    /// There is none of this name.
    Unknown(String),
    /// This is wrong with it.
    Complaints(Complaints),
    /// It was accepted, and cannot be used.
    Unplanned(String),
}

impl std::fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no configuration `{name}`; load it before it is reloaded")
            }
            Self::Complaints(complaints) => complaints.fmt(f),
            Self::Unplanned(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for NotReloaded {}

/// Plans by name.
#[derive(Debug, Default)]
pub struct Plans(Mutex<BTreeMap<String, Arc<Plan>>>);

impl Plans {
    /// Adds a plan, or puts it in the place of another, for new sessions.
    pub fn load(&self, name: &str, plan: Arc<Plan>) {
        let former = self.lock().insert(name.to_owned(), plan);
        // Not under the lock: a plan is large.
        drop(former);
    }

    /// The plan of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Plan>> {
        self.lock().get(name).cloned()
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Puts a configuration in the place of the one of this name, for new sessions. `file_name` is what
    /// complaints call it. Tools of the program that no configuration describes stay known.
    ///
    /// # Errors
    /// There is none of this name, or something is wrong with this one: then all stays as it was.
    pub fn reload(
        &self,
        name: &str,
        text: &[u8],
        file_name: &str,
    ) -> Result<Arc<Plan>, NotReloaded> {
        let former = self.get(name).ok_or_else(|| NotReloaded::Unknown(name.to_owned()))?;
        let config = config::parse(text, file_name).map_err(NotReloaded::Complaints)?;
        let plan = Plan::new(config).map_err(|why| NotReloaded::Unplanned(why.to_string()))?;
        let plan = Arc::new(plan.with_tools_of(&former));
        self.load(name, Arc::clone(&plan));
        Ok(plan)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Plan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
