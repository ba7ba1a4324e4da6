"""What Alembic runs for every upgrade, inside the transaction that `app.storage.schema` began."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
