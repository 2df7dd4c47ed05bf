# The worker of the Sidekiq processes; settings are Sidekiq's defaults.
require "sidekiq"

class Noop
  include Sidekiq::Worker

  def perform; end
end
