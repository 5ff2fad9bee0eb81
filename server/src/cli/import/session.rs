//! What an import works with: the store, and whoever is told how it goes.

use std::cell::RefCell;
use std::fmt::Arguments;

use anyhow::Result;
use server::store::{Artifacts, JobOrigin, ModelName, ModelStore, Publication, StoreError};
use trainer::events::{Event, Observer};

use crate::cli::{CommandContext, output};

/// An import on behalf of somebody.
pub(in crate::cli) struct ImportSession<'a> {
    pub(super) context: &'a CommandContext,
    audience: Audience<'a>,
}

/// Who is told.
enum Audience<'a> {
    /// Whoever reads the output of a command.
    Terminal,
    /// The server whose job it is.
    Job { origin: JobOrigin, observer: RefCell<&'a mut dyn Observer> },
}

impl<'a> ImportSession<'a> {
    /// A session that tells the terminal what it does.
    pub(in crate::cli) fn of_command(context: &'a CommandContext) -> Self {
        Self { context, audience: Audience::Terminal }
    }

    /// For an attempt of a job.
    pub(super) fn of_job(context: &'a CommandContext, origin: JobOrigin, observer: &'a mut dyn Observer) -> Self {
        Self { context, audience: Audience::Job { origin, observer: RefCell::new(observer) } }
    }

    /// Says how it goes. An import goes from remark to remark, so that this is where one that was cancelled ends.
    ///
    /// # Errors
    /// The output takes nothing, or the job was told to stop.
    pub(super) fn line(&self, text: Arguments<'_>) -> Result<()> {
        match &self.audience {
            Audience::Terminal => Ok(output::line(text)?),
            Audience::Job { observer, .. } => {
                let mut observer = observer.borrow_mut();
                if observer.stopped() {
                    return Err(StoreError::Withdrawn.into());
                }
                observer.event(Event::Note { message: text.to_string() });
                Ok(())
            }
        }
    }

    /// The store. A server has put there what graft comes with, or was told not to.
    pub(super) fn store(&self) -> Result<ModelStore, StoreError> {
        match &self.audience {
            Audience::Terminal => self.context.store(),
            Audience::Job { .. } => ModelStore::open(&self.context.data.models_dir()),
        }
    }

    /// Publishes the version; that of a job once, whatever is killed.
    pub(super) fn publish(
        &self,
        store: &ModelStore,
        name: &ModelName,
        artifacts: &Artifacts<'_>,
    ) -> Result<u32, StoreError> {
        match &self.audience {
            Audience::Terminal => store.publish(name, artifacts),
            Audience::Job { origin, observer } => {
                let permitted = || !observer.borrow().stopped();
                let publication = Publication { origin: origin.clone(), permitted: &permitted };
                store.publish_once(name, artifacts, &publication)
            }
        }
    }
}
