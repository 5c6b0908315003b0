"""The tables of state.db and how an older file becomes a current one."""

from __future__ import annotations

# "cicd" as a number: tells our file from anybody else's SQLite database.
APPLICATION_ID = 0x63696364

# The n-th entry leads from user_version n to n + 1. Append; never change one that was released.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        # AUTOINCREMENT: a number is never given twice, even after its run was pruned, for logs are named by it.
        """CREATE TABLE run (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            pipeline TEXT NOT NULL,
            commit_id TEXT NOT NULL,
            state TEXT NOT NULL,
            verdict TEXT,
            epoch INTEGER NOT NULL,
            created_at REAL NOT NULL,
            cancel_reason TEXT,
            document TEXT NOT NULL,
            CHECK ((state = 'done') = (verdict IS NOT NULL))
        ) STRICT""",
        # The verdict rides along so that the last green run of a pipeline is found in the index alone.
        "CREATE INDEX run_by_pipeline ON run (pipeline, id DESC, verdict)",
        "CREATE INDEX run_by_commit ON run (commit_id, id DESC)",
        "CREATE INDEX run_by_verdict ON run (verdict, id DESC)",
        "CREATE INDEX run_active ON run (id) WHERE state <> 'done'",
        """CREATE TABLE stage (
            run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            state TEXT NOT NULL,
            verdict TEXT,
            -- of the runner that wrote it: what a dead one left open may be written again, once
            epoch INTEGER NOT NULL,
            document TEXT,
            PRIMARY KEY (run, name),
            CHECK ((state = 'done') = (verdict IS NOT NULL) AND (verdict IS NULL) = (document IS NULL))
        ) STRICT""",
        """CREATE TABLE attempt (
            run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            stage TEXT NOT NULL,
            number INTEGER NOT NULL CHECK (number > 0),
            started_at REAL NOT NULL,
            log TEXT,
            verdict TEXT,
            document TEXT,
            PRIMARY KEY (run, stage, number),
            CHECK ((verdict IS NULL) = (document IS NULL))
        ) STRICT""",
        """CREATE TABLE event (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            stage TEXT,
            detail TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX event_by_run ON event (run, id)",
    ),
    (
        # What is to be told, written with what happened; it becomes rows of outbox when somebody tells it.
        """CREATE TABLE news (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            at REAL NOT NULL,
            event TEXT NOT NULL,
            -- how the run before ended, of the same pipeline and ref
            previous TEXT,
            text TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX news_by_run ON news (run)",
        # No reference to the run: what waits to be told outlives its run.
        """CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            notifier TEXT NOT NULL,
            topic TEXT NOT NULL,
            run INTEGER NOT NULL,
            tries INTEGER NOT NULL,
            due_at REAL NOT NULL,
            failed_at REAL,
            error TEXT,
            document TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX outbox_waiting ON outbox (due_at) WHERE failed_at IS NULL",
    ),
    (
        # What waits for a runner: gone in the transaction in which the run starts or ends.
        """CREATE TABLE queue (
            run INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
            priority INTEGER NOT NULL,
            -- of those with the same, one runs at a time
            group_name TEXT,
            queued_at REAL NOT NULL,
            -- when a runner was last started for it, how often, and which
            claimed_at REAL,
            tries INTEGER NOT NULL,
            pid INTEGER
        ) STRICT""",
        "CREATE INDEX queue_order ON queue (priority DESC, run)",
        "CREATE INDEX queue_group ON queue (group_name)",
        # Runs from the queue that go on: they count against max_parallel_pipelines and hold their group.
        """CREATE TABLE group_slot (
            run INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
            group_name TEXT
        ) STRICT""",
        # Runs that others come after; due once it has passed, gone when those are queued.
        """CREATE TABLE chain (
            run INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
            due INTEGER NOT NULL
        ) STRICT""",
        # The value of each ref that was dealt with last; the empty ref: when the source was first looked at.
        """CREATE TABLE seen_ref (
            source TEXT NOT NULL,
            ref TEXT NOT NULL,
            oid TEXT NOT NULL,
            PRIMARY KEY (source, ref)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE delivery (
            source TEXT NOT NULL,
            id TEXT NOT NULL,
            at REAL NOT NULL,
            PRIMARY KEY (source, id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE schedule (pipeline TEXT PRIMARY KEY, fired_at REAL NOT NULL) STRICT, WITHOUT ROWID",
    ),
    (
        # The journal of fixes. No reference to the run: what was offered outlives it, wherever runs are kept.
        """CREATE TABLE fix (
            id TEXT PRIMARY KEY,
            run INTEGER NOT NULL,
            stage TEXT NOT NULL,
            number INTEGER NOT NULL,
            state TEXT NOT NULL,
            outcome TEXT,
            epoch INTEGER NOT NULL,
            created_at REAL NOT NULL,
            ref TEXT,
            signature TEXT NOT NULL,
            base_tree TEXT NOT NULL,
            document TEXT NOT NULL,
            UNIQUE (run, stage, number),
            CHECK ((state = 'done') = (outcome IS NOT NULL))
        ) STRICT""",
        "CREATE INDEX fix_by_signature ON fix (signature, created_at)",
        "CREATE INDEX fix_open ON fix (created_at) WHERE state <> 'done'",
        """CREATE TABLE fix_event (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            fix TEXT NOT NULL REFERENCES fix (id) ON DELETE CASCADE,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX fix_event_by_fix ON fix_event (fix, id)",
        # Evidence: bundle, proof, diffs, transcripts. Masked before it comes here.
        """CREATE TABLE fix_document (
            fix TEXT NOT NULL REFERENCES fix (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (fix, name)
        ) STRICT, WITHOUT ROWID""",
        # Money: booked before a call is made, settled after it; a booking that is never settled counts in full.
        """CREATE TABLE budget (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            fix TEXT NOT NULL,
            at REAL NOT NULL,
            reserved_usd REAL NOT NULL,
            used_usd REAL
        ) STRICT""",
        "CREATE INDEX budget_by_day ON budget (at)",
        "CREATE INDEX budget_by_fix ON budget (fix)",
    ),
    (
        # An environment takes one deploy at a time, beside the groups.
        "ALTER TABLE queue ADD COLUMN environment TEXT",
        "ALTER TABLE group_slot ADD COLUMN environment TEXT",
        # What was deployed where, in the order in which it ended; the columns are copies, for the indexes.
        """CREATE TABLE deployment (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run INTEGER NOT NULL UNIQUE,
            environment TEXT NOT NULL,
            commit_id TEXT NOT NULL,
            -- passed, and of the whole pipeline: what a rollback may go back to
            green INTEGER NOT NULL,
            -- a rollback is to be queued for it
            due INTEGER NOT NULL,
            document TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX deployment_by_environment ON deployment (environment, id DESC)",
        "CREATE INDEX deployment_by_commit ON deployment (commit_id) WHERE green = 1",
        "CREATE INDEX deployment_due ON deployment (id) WHERE due = 1",
    ),
    (
        # What is known of a tree, whichever commit has it: a push is let in by it.
        "ALTER TABLE run ADD COLUMN tree TEXT NOT NULL DEFAULT ''",
        "UPDATE run SET tree = ifnull(json_extract(document, '$.tree'), '')",
        "CREATE INDEX run_by_tree ON run (tree, id DESC)",
    ),
    (
        # Who may ask the server for what. Only a digest of each secret is here.
        """CREATE TABLE token (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            digest TEXT NOT NULL,
            scopes TEXT NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL,
            used_at REAL,
            revoked_at REAL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE session (
            digest TEXT PRIMARY KEY,
            token TEXT NOT NULL REFERENCES token (id) ON DELETE CASCADE,
            expires_at REAL NOT NULL
        ) STRICT, WITHOUT ROWID""",
        # What forges have told: acknowledged when it is here, done when git was looked at because of it.
        """CREATE TABLE webhook (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            forge TEXT NOT NULL,
            delivery TEXT NOT NULL,
            at REAL NOT NULL,
            event TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'ignored')),
            reason TEXT,
            done_at REAL,
            document TEXT NOT NULL
        ) STRICT""",
        "CREATE UNIQUE INDEX webhook_once ON webhook (forge, delivery) WHERE delivery <> ''",
        "CREATE INDEX webhook_waiting ON webhook (id) WHERE state = 'waiting'",
        "CREATE INDEX webhook_by_time ON webhook (at)",
        # Which run a delivery became, and what it asked for: a repetition gets the same answer.
        "ALTER TABLE delivery ADD COLUMN run INTEGER",
        "ALTER TABLE delivery ADD COLUMN detail TEXT",
        # The runs of one branch are listed among a million others.
        "ALTER TABLE run ADD COLUMN ref TEXT",
        "UPDATE run SET ref = json_extract(document, '$.ref')",
        "CREATE INDEX run_by_ref ON run (ref, id DESC)",
    ),
    (
        # The failed runs of one branch are found in the index alone.
        "DROP INDEX run_by_ref",
        "CREATE INDEX run_by_ref ON run (ref, id DESC, verdict)",
    ),
)

LATEST = len(MIGRATIONS)
