# pyright: reportUnusedImport=false
"""What every worker imports, in one place: it is loaded while the main process starts PostgreSQL (cli/warm.py)."""

from __future__ import annotations

import fluxbase.observe.without_rich  # isort: skip # before anybody imports structlog
import fluxbase.app
import fluxbase.data.documents
import fluxbase.data.executions
import fluxbase.data.service
import fluxbase.data.snapshot
import fluxbase.db.catalogue
import fluxbase.db.executor
import fluxbase.db.pool
import fluxbase.db.settings
import fluxbase.observe.log
import fluxbase.observe.metrics
import fluxbase.parts.areas
import fluxbase.parts.closing
import fluxbase.web.documents.surface
import fluxbase.web.native.routes
import fluxbase.web.native.rpc
import fluxbase.web.native.tables
import fluxbase.web.pipeline
import fluxbase.web.supabase.rest
import fluxbase.web.supabase.routes  # noqa: F401 - imported to be there
