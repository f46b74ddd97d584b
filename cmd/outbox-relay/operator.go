package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// openOperatorPool returns a pool for a person who changes the outbox by hand. The caller closes it.
func openOperatorPool(ctx context.Context, settings *config.Settings) (*pgxpool.Pool, error) {
	pool, err := openPool(ctx, settings)
	if err != nil {
		return nil, err
	}
	if err := relay.CheckOperator(ctx, pool, migrations.Latest()); err != nil {
		pool.Close()
		return nil, explainCheck(settings, err)
	}
	return pool, nil
}

// explainDatabase explains an error of a statement: the checks of a starting relay say why better than an error of SQL does.
func explainDatabase(ctx context.Context, pool *pgxpool.Pool, settings *config.Settings, what string, err error) error {
	if problem := relay.Check(ctx, pool, migrations.Latest()); problem != nil {
		return explainCheck(settings, problem)
	}
	return &failure{what: what, cause: err, value: settings.Show("postgres.url")}
}
