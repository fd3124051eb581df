// A device plugin that offers GPUs which are not there, by the protocol of real ones.
//
//	gpu-plugin RESOURCE COUNT
//
// A container is given NVIDIA_VISIBLE_DEVICES, as NVIDIA's own plugin gives it.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const socket = "dynocheck-gpus.sock"

type plugin struct {
	api.UnimplementedDevicePluginServer
	devices []*api.Device
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse]) error {
	if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	answer := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		visible := map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")}
		answer.ContainerResponses = append(answer.ContainerResponses, &api.ContainerAllocateResponse{Envs: visible})
	}
	return answer, nil
}

func main() {
	resource := os.Args[1]
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	served := &plugin{}
	for i := range count {
		id := fmt.Sprintf("GPU-00000000-0000-0000-0000-%012d", i)
		served.devices = append(served.devices, &api.Device{ID: id, Health: api.Healthy})
	}

	listener, err := net.Listen("unix", api.DevicePluginPath+socket)
	check(err)
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, served)
	go register(resource)
	check(server.Serve(listener))
}

func register(resource string) {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: socket, ResourceName: resource}
	_, err = api.NewRegistrationClient(connection).Register(context.Background(), request, grpc.WaitForReady(true))
	check(err)
	log.Printf("offers %s", resource)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
